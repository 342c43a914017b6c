"""What an engine is: something that listens to one stream's sound and draws mouths for many.

The server knows engines only by this protocol. An engine never sees streams, deadlines or codecs; the
scheduler never sees features or tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from avatar_core import limits
from avatar_inference.bundle import Bundle

CROP = 256
"""Engines draw square crops of this many pixels."""

Crops = NDArray[np.uint8]
"""uint8 RGB [B, 256, 256, 3]."""


@dataclass(frozen=True, slots=True)
class EngineFrame:
    """One frame for an engine to draw.

    Attributes:
        avatar: what `Engine.load` returned for the stream's bundle.
        picture: index of the bundle's picture behind this frame.
        feature: what the stream's `FeatureStream` gave for this frame.
    """

    avatar: Any
    picture: int
    feature: Any


class FeatureStream(Protocol):
    """Listens to one stream: 16 kHz mono sound in, one feature a frame out, in order, each exactly once.

    Results depend on sample positions and flushes alone, never on how the sound was chunked.
    """

    @property
    def engine_seconds(self) -> float:
        """What listening cost the device that draws, so far."""
        ...

    def push(self, samples: NDArray[np.float32]) -> Sequence[Any]:
        """Takes sound that follows (float32 [n], -1..1); returns the features now complete."""
        ...

    def flush(self, frames: int, *, last: bool) -> Sequence[Any]:
        """An utterance ends at the sound pushed so far: returns the features missing up to `frames` in all.

        Windows that reach past the end see silence there. Unless it is the `last` one, sound may follow, and
        an engine that knows no utterances may return nothing.
        """
        ...


MaskMode = Literal["landmarks", "jaw", "raw", "neck"]


@dataclass(frozen=True, slots=True)
class RepaintOptions:
    """How an engine that repaints the lower face cuts it out and puts it back.

    Attributes:
        landmarks: float32 [pictures of the source, 68, 2], the iBUG points in pixels of the source, all NaN
            where a picture has no face; [1, 68, 2] for a photograph; None looks for them.
        landmarks_size: width and height of the pictures they were found in, which must be the source's;
            None where unknown.
        smooth: take the jitter out of the points of a video.
        mask: "landmarks" draws it from the points; the others are MuseTalk's own and need its face parser.
        cheeks: for "jaw", half the width of the part that keeps its full height, left and right, in 512ths of
            the square about the face, 0 to 256.
        margin: pixels of the source below the chin, 0 to 400; None takes 10 in pictures up to 720p and, in
            larger ones, as much as 10 of the 256 pixels of a crop.
        shift: pixels of the source by which the repainted half's upper border is moved down, -400 to 400.
        still_ends: cut off up to half a second at either end so that the motion turns round at rest.
    """

    landmarks: NDArray[np.float32] | None = None
    landmarks_size: tuple[int, int] | None = None
    smooth: bool = True
    mask: MaskMode = "landmarks"
    cheeks: tuple[int, int] = (90, 90)
    margin: int | None = None
    shift: int = 0
    still_ends: bool = True


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How to make a bundle.

    Attributes:
        name: for people.
        face_box: (x, y, width, height) in pixels of the source, or None to look for the face.
        face_index: take this one of several faces, counted from the largest, from 1; 0 refuses several.
        fps: pictures per second to keep of a video's motion, which keeps its speed; None keeps all.
        side_max: larger pictures are scaled down to this long side, in pixels, 128 to 4096.
        repaint: for engines that repaint the lower face; others need none of it.
    """

    name: str
    face_box: tuple[int, int, int, int] | None = None
    face_index: int = 0
    fps: Fraction | None = None
    side_max: int = limits.PICTURE_SIDE_MAX
    repaint: RepaintOptions = RepaintOptions()


PrepareProgress = Callable[[str, int, int], None]
"""Called with stage, pictures done and pictures in all (0 while unknown)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a source worth knowing that did not stop its preparation.

    Attributes:
        reason: typed name in CamelCase, such as "NoFace" or "SeveralFaces".
        message: a sentence with what to do.
        first_picture, last_picture: the pictures it applies to, counted from 0, both included.
    """

    reason: str
    message: str
    first_picture: int
    last_picture: int


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What preparation made of a source.

    Attributes:
        bundle: the avatar, not stored yet. Its pictures may be read from the source as they are asked for.
        findings: what a person should know about the source, by first picture.
        preview_png: a PNG of the first picture with a face, its box and mask drawn on it.
    """

    bundle: Bundle
    findings: tuple[Finding, ...]
    preview_png: bytes


@dataclass(frozen=True, slots=True)
class EngineReceipt:
    """What a video's receipt tells about the engine.

    Attributes:
        notes: what must be said about this engine's pictures.
        weights: SHA-256 of each file of weights, by part.
        windows: how windows of sound are placed; empty where there is no choice.
        accelerated: whether a GPU draws; its seconds are counted then.
    """

    notes: Sequence[str] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    windows: str = ""
    accelerated: bool = False


class Engine(Protocol):
    """A way to draw faces. `render` runs in one engine thread, the other methods in any."""

    @property
    def name(self) -> str:
        """Short name for receipts, such as "preview"."""
        ...

    @property
    def receipt(self) -> EngineReceipt:
        """What receipts tell about it."""
        ...

    @property
    def batch_sizes(self) -> Sequence[int]:
        """Batch sizes that run fastest, ascending; the server pads a batch to the next one. Empty: any."""
        ...

    def builtin(self, name: str) -> Path | None:
        """Folder of the built-in bundle of this name, if there is one."""
        ...

    def prepare(self, source: Path, options: PrepareOptions, progress: PrepareProgress) -> Prepared:
        """Makes a bundle from a photograph or video. Raises InvalidInputError with NoFace, SeveralFaces, …"""
        ...

    def load(self, bundle: Bundle) -> Any:
        """Whatever `render` needs of a bundle, held while streams use it."""
        ...

    def features(self, fps: Fraction, *, live: bool) -> FeatureStream:
        """A listener for a new stream. Raises InvalidInputError when it can't hear LIVE streams."""
        ...

    def picture_at(self, bundle: Bundle, frame: int, fps: Fraction) -> int:
        """Which of the bundle's pictures lies behind a frame; by the bundle's times, as a rule."""
        ...

    def render(self, frames: Sequence[EngineFrame]) -> Crops:
        """Draws all frames in one go: uint8 RGB [len(frames), 256, 256, 3]. Frames are independent."""
        ...

    def stretch(self, crop: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """A crop at its box's size, uint8 RGB [height, width, 3]. Runs in any thread."""
        ...

    def close(self) -> None:
        """Lets go of threads and devices; nothing is asked of it afterwards."""
        ...
