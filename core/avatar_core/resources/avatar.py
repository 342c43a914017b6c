"""Avatar: a face prepared once, for any number of sessions."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from avatar_core import limits
from avatar_core.resources import rules
from avatar_core.resources.base import (
    ApiVersion,
    BundleId,
    Conditions,
    Count,
    Flag,
    Metadata,
    Resource,
    Sha256,
    Whole,
)
from avatar_core.resources.rules import Rule

Pixels = Annotated[Whole, Field(ge=0, le=limits.SOURCE_SIDE_MAX)]
Cheek = Annotated[Whole, Field(ge=0, le=limits.CHEEK_MAX)]


class Source(Resource):
    """Where the face comes from: exactly one of `url` and `bundle`."""

    RULES: ClassVar[tuple[Rule, ...]] = (rules.ONE_SOURCE,)

    url: Annotated[str, Field(min_length=1, max_length=2048), rules.HTTPS] | None = None
    """A photograph or a short video, at an https:// address outside of the cluster."""
    sha256: Sha256 | None = None
    """Of the file behind url; another file is refused."""
    bundle: BundleId | None = None
    """The id of a bundle that is in the bundle store already."""


class FaceBox(Resource):
    """A face, in pixels of the source. (Not x and y: to kubectl a bare `y` in YAML means true.)"""

    left: Pixels
    top: Pixels
    width: Annotated[Whole, Field(ge=limits.FACE_SIDE_MIN, le=limits.SOURCE_SIDE_MAX)]
    height: Annotated[Whole, Field(ge=limits.FACE_SIDE_MIN, le=limits.SOURCE_SIDE_MAX)]


class FaceSpec(Resource):
    """Which face speaks. Without either field there must be exactly one."""

    index: Annotated[Whole, Field(ge=1, le=16)] | None = None
    """Of several faces this one, counted from the largest."""
    box: FaceBox | None = None
    """Where the face is in every picture; it is not looked for."""


class MotionSpec(Resource):
    """What is kept of the source."""

    fps: Annotated[Whole, Field(ge=limits.MOTION_FPS_MIN, le=limits.MOTION_FPS_MAX)] | None = None
    """Pictures per second to keep of a video; its speed stays. Default: all."""
    side_max: Annotated[Whole, Field(ge=limits.PICTURE_SIDE_LOW, le=limits.PICTURE_SIDE_HIGH)] = (
        limits.PICTURE_SIDE_MAX
    )
    """Larger pictures are scaled down to this long side, in pixels."""
    keep_ends: Flag = False
    """Keeps all of a video; by default its ends are cut where the head rests, so that it turns softly."""


class CheekSpec(Resource):
    """Half the width of the part between the cheeks, in 512ths of the square about the face."""

    left: Cheek = 90
    right: Cheek = 90


class RepaintSpec(Resource):
    """For engines that repaint the lower face; others take no notice."""

    mask: Literal["landmarks", "jaw", "raw", "neck"] = "landmarks"
    """What is repainted: by the face's points, or as a face parser sees it."""
    cheeks: CheekSpec = CheekSpec()
    """For mask jaw."""
    margin: Annotated[Whole, Field(ge=0, le=limits.MARGIN_MAX)] | None = None
    """Pixels to repaint below the chin. Default: 10, in large pictures as the face is large."""
    shift: Annotated[Whole, Field(ge=-limits.SHIFT_MAX, le=limits.SHIFT_MAX)] = 0
    """Pixels by which the repainted half begins lower; less than 0: higher."""
    keep_jitter: Flag = False
    """Takes the points as they are, picture by picture."""


class AvatarSpec(Resource):
    """A face and how it is prepared."""

    source: Source
    face: FaceSpec = FaceSpec()
    motion: MotionSpec = MotionSpec()
    repaint: RepaintSpec = RepaintSpec()


class Finding(Resource):
    """Something about the source worth knowing."""

    reason: Annotated[str, Field(max_length=128)]
    """Typed name, such as SmallFace or HardCut."""
    message: Annotated[str, Field(max_length=1024)]
    """A sentence with what to do."""
    first_picture: Count = 0
    """Counted from 0."""
    last_picture: Count = 0


class AvatarStatus(Resource):
    """Whether the face is prepared, and what was found."""

    conditions: Conditions = ()
    """Ready: sessions can use it."""
    observed_generation: Count | None = None
    """The generation of the spec this status is about."""
    bundle: BundleId | None = None
    """What sessions draw."""
    pictures: Count | None = None
    """In the bundle."""
    width: Count | None = None
    height: Count | None = None
    engine: Annotated[str, Field(max_length=253)] | None = None
    """That prepared it; the bundle is for this engine alone."""
    job_name: Annotated[str, Field(max_length=63)] | None = None
    """The Job that prepares it, or did."""
    attempt: Count | None = None
    """Jobs made for this generation so far."""
    findings: Annotated[
        tuple[Finding, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """What the linter says about the source."""


class Avatar(Resource):
    """A face prepared once, for any number of sessions."""

    api_version: ApiVersion
    kind: Literal["Avatar"]
    metadata: Metadata
    spec: AvatarSpec
    status: AvatarStatus = AvatarStatus()
