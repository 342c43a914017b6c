"""From a photograph or video to a bundle whose lower face can be repainted.

points (`landmarks`) -> still boxes (`smoothing`, `facebox`) -> crops (`crop`) -> latents, and masks
(`polygon` or `mask`). The source is read three times, one picture at a time, and once more when the bundle is
written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Box, Bundle, Mask, Picture
from avatar_inference.bundle_manifest import MAX_ARRAYS_BYTES
from avatar_inference.engine import Finding, Prepared, PrepareOptions, PrepareProgress, RepaintOptions
from avatar_inference.musetalk.crop import cut_face
from avatar_inference.musetalk.facebox import (
    Corners,
    corners,
    default_margin,
    face_corners,
    lowered,
    shift_range,
    within,
)
from avatar_inference.musetalk.finders import Finders, Latents, missing
from avatar_inference.musetalk.landmarks import FacePoints, Seen, see
from avatar_inference.musetalk.mask import parser_mask
from avatar_inference.musetalk.polygon import polygon_mask
from avatar_inference.musetalk.pose import extreme_poses
from avatar_inference.musetalk.smoothing import calm_ends, middle, smooth_points, still_runs
from avatar_inference.source.faces import no_face
from avatar_inference.source.findings import by_picture, find_findings
from avatar_inference.source.opening import open_source, part_of
from avatar_inference.source.scan import scan_part
from avatar_inference.source.sketch import sketch
from avatar_inference.source.source import Source, SourcePictures

ENGINE = "musetalk"
LATENTS_ARRAY = "latents"
"""float16 [pictures, 8, 32, 32]: see `CropEncoder`; 0 where no face speaks."""
ENCODED_AT_ONCE = 8
_LATENT_SHAPE = (8, 32, 32)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a face is repainted, in one picture or several in a row.

    Attributes:
        box: margin included, within the picture.
        points: float64 [68, 2]; the mean of several pictures' smoothed ones.
    """

    box: Box
    points: FacePoints


def prepare_repaint(
    source: Path, options: PrepareOptions, finders: Finders, progress: PrepareProgress
) -> Prepared:
    """Makes a bundle from a photograph (JPEG, PNG, WebP) or a video of at most 60 s.

    The bundle's pictures are decoded from the source as they are asked for: keep the file until the bundle is
    written. The same file, options and networks give the same bundle.

    Args:
        source: a local file.
        options: the bundle's name, which face, at which rate and size, and how it is repainted.
        finders: the networks.
        progress: told as pictures are looked at.

    Raises:
        InvalidInputError: InvalidPicture, NoFace, SeveralFaces, FaceTooSmall; InvalidArgument for options.
        AvatarError: WeightsMissing, when a network is needed that is not there.
    """
    repaint = options.repaint
    if repaint.mask != "landmarks" and finders.labels is None:
        raise missing(f"the mask {repaint.mask!r}", "take --mask landmarks, which needs none")
    opened = open_source(source, options.side_max, options.fps)
    seen = see(opened, options, finders, progress)
    points = _points(seen, repaint)
    if repaint.still_ends:
        keep = calm_ends(points, seen.scan.times_us)
        opened, seen, points = part_of(opened, keep), _part(seen, keep), points[keep.start : keep.stop]
    shift_findings = _check_shift(points, repaint.shift * opened.scale)
    places = find_places(seen, points, opened, repaint)
    if not any(places):
        raise no_face()
    masks, latents = _encode(opened, places, repaint, finders, progress)
    bundle = _bundle(options.name, opened, seen, places, masks, latents, repaint)
    found = [*find_findings(seen.scan, [place is not None for place in places], options.face_index)]
    found += [*extreme_poses(points), *shift_findings]
    return Prepared(bundle, by_picture(found), sketch(bundle))


def find_places(
    seen: Seen, points: Sequence[FacePoints | None], source: Source, repaint: RepaintOptions
) -> list[Place | None]:
    """Where the face is repainted in each picture; None where there is none, or hardly.

    Args:
        seen: what was seen.
        points: smoothed or, to be taken as they are, truncated.
        source: whose pictures these are.
        repaint: its margin, shift and smoothing count.
    """
    shift = repaint.shift * source.scale
    edges = [
        None if one is None or face is None else _edges(one, face, shift, as_upstream=not repaint.smooth)
        for one, face in zip(points, seen.faces, strict=True)
    ]
    if repaint.smooth:
        runs = still_runs(edges, seen.scan.cuts)
    else:
        runs = [range(number, number + 1) for number, face in enumerate(edges) if face is not None]
    places: list[Place | None] = [None] * len(edges)
    for run in runs:
        face = middle([edge for edge in edges[run.start : run.stop] if edge is not None])
        box = _box(face, source, repaint.margin)
        shape = np.mean([one for one in points[run.start : run.stop] if one is not None], axis=0)
        places[run.start : run.stop] = [None if box is None else Place(box, shape)] * len(run)
    return places


def _edges(points: FacePoints, face: Box, shift: float, *, as_upstream: bool) -> Corners | None:
    """The reference takes the detector's face when the points reach out of the picture; we cut them off."""
    return face_corners(points, Corners.of(face), shift) if as_upstream else corners(points, shift)


def _box(face: Corners, source: Source, margin: int | None) -> Box | None:
    if margin is None:
        below: float = default_margin(face, source.width, source.height)
    else:
        below = round(margin * source.scale)
    return within(lowered(face, below, source.height), source.width, source.height)


def _points(seen: Seen, repaint: RepaintOptions) -> list[FacePoints | None]:
    """Smoothed, or truncated as the reference has them."""
    if repaint.smooth:
        return smooth_points(seen.points, seen.scan.times_us, seen.scan.cuts)
    return [None if one is None else np.trunc(one) for one in seen.points]


def _part(seen: Seen, keep: range) -> Seen:
    kept = slice(keep.start, keep.stop)
    return replace(seen, scan=scan_part(seen.scan, keep), points=seen.points[kept], faces=seen.faces[kept])


def _check_shift(points: Sequence[FacePoints | None], shift: float) -> list[Finding]:
    """Refuses a border below the chin; a finding for one that leaves the nose."""
    faces = [(number, one) for number, one in enumerate(points) if one is not None]
    if shift == 0 or not faces:
        return []
    low, high = shift_range([one.astype(np.int32) for _, one in faces])
    advice = f"the border stays on the nose for {low} to {high} pixels of the prepared pictures"
    if any((edge := corners(one, shift)).bottom <= edge.top for _, one in faces):
        message = f"leaves nothing to repaint; {advice}"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="repaint.shift")
    if low <= shift <= high:
        return []
    return [Finding("ShiftedFar", f"shift {shift:g}: {advice}", faces[0][0], faces[-1][0])]


def _encode(
    source: Source,
    places: Sequence[Place | None],
    repaint: RepaintOptions,
    finders: Finders,
    progress: PrepareProgress,
) -> tuple[list[Mask | None], Latents]:
    """The masks of all pictures, and the latents of all faces, a few at a time."""
    _check_room(places, shared=repaint.mask == "landmarks")
    masks: list[Mask | None] = [None] * len(places)
    latents = np.zeros((len(places), *_LATENT_SHAPE), np.float16)
    waiting: list[tuple[int, NDArray[np.uint8]]] = []
    for number, (_, picture, _) in enumerate(source.frames()):
        place = places[number]
        if place is not None:
            same = number > 0 and places[number - 1] is place and repaint.mask == "landmarks"
            masks[number] = masks[number - 1] if same else _mask(picture, place, repaint, finders)
            waiting.append((number, cut_face(picture, place.box)))
        if len(waiting) == ENCODED_AT_ONCE or (waiting and number == len(places) - 1):
            latents[[at for at, _ in waiting]] = finders.encode(np.stack([crop for _, crop in waiting]))
            waiting.clear()
        progress("encoding the face", number + 1, len(places))
    return masks, latents


def _mask(picture: Picture, place: Place, repaint: RepaintOptions, finders: Finders) -> Mask:
    if repaint.mask == "landmarks":
        return polygon_mask(place.points, place.box)
    assert finders.labels is not None
    return parser_mask(picture, place.box, finders.labels, repaint.mask, repaint.cheeks)


def _check_room(places: Sequence[Place | None], *, shared: bool) -> None:
    """Refuses what could not be stored before hours are spent on it."""
    used = [place for place in places if place is not None]
    drawn = {id(place): place for place in used}.values() if shared else used
    size = sum(place.box.width * place.box.height for place in drawn)
    size += 2 * len(places) * int(np.prod(_LATENT_SHAPE)) + 1024 * 1024
    if size > MAX_ARRAYS_BYTES:
        raise InvalidInputError(
            Reason.INVALID_PICTURE,
            f"the masks of {len(places)} pictures would take {size >> 20} MiB, at most "
            f"{MAX_ARRAYS_BYTES >> 20} are allowed; use smaller pictures (--side-max), fewer (--fps) or a "
            "shorter clip",
            field="source",
        )


def _bundle(
    name: str,
    source: Source,
    seen: Seen,
    places: Sequence[Place | None],
    masks: Sequence[Mask | None],
    latents: Latents,
    repaint: RepaintOptions,
) -> Bundle:
    return Bundle(
        name=name,
        engine=ENGINE,
        width=source.width,
        height=source.height,
        times_us=seen.scan.times_us,
        boxes=[None if place is None else place.box for place in places],
        masks=masks,
        pictures=SourcePictures(source, len(places)),
        arrays={LATENTS_ARRAY: latents},
        notes=_notes(repaint),
    )


def _notes(repaint: RepaintOptions) -> tuple[str, ...]:
    if repaint.mask == "landmarks":
        mask = "mask drawn from 68 points"
    else:
        mask = f"mask {repaint.mask!r} of the face parser, blurred as in MuseTalk's real-time script"
    points = "given" if repaint.landmarks is not None else "found by the landmark network"
    steadied = "steadied" if repaint.smooth else "as they are"
    return (mask, f"points {points}, {steadied}; latents are the VAE's mode, not a sample")
