"""One pass over a source: where the face is now and then, and where one shot ends and another begins.

Faces are looked for five times a second, on both sides of every cut, and in every picture between a look that
saw a face and one that saw none. At most the pictures since the last look are held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar_core.limits import FACE_SIDE_MIN
from avatar_inference.bundle import Box, Picture
from avatar_inference.engine import PrepareProgress
from avatar_inference.source.faces import FindFaces, overlap
from avatar_inference.source.source import Source

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LOOK_EVERY_US = 200_000
_HELD_MAX = 12
"""Pictures held between looks, whatever their times say."""
_CUT_LEVELS = 28.0
"""Mean change of a thumbnail's pixels, 0 to 255, that no motion makes."""
_SAME_FACE = 0.2
_SHARPNESS_SIDE = 96

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """What was seen in one picture.

    Attributes:
        picture, time_us: which one and when.
        faces: all faces found, largest first.
        face: the one that is followed, at least 64 pixels wide; None where there is none.
        features: what the engine read from it.
        sharpness: see `sharpness`.
    """

    picture: int
    time_us: int
    faces: tuple[Box, ...]
    face: Box | None = None
    features: T | None = None
    sharpness: float = 0.0


@dataclass(frozen=True, slots=True)
class Scan(Generic[T]):
    """What one pass gave.

    Attributes:
        times_us: of every picture.
        numbers: which of the file's pictures each is; see `TimedPicture`.
        looks: ascending.
        cuts: pictures that begin a new shot, ascending; the first picture is not among them.
    """

    times_us: tuple[int, ...]
    looks: tuple[Look[T], ...]
    cuts: tuple[int, ...]
    numbers: tuple[int, ...] = ()


def scan_source(
    source: Source,
    find: FindFaces,
    face_index: int,
    progress: PrepareProgress,
    read: Callable[[Picture, Box], T],
) -> Scan[T]:
    """Reads the whole source once.

    Args:
        source: where pictures come from.
        find: finds faces in one picture.
        face_index: which of several faces to follow, from 1; 0 follows the largest.
        progress: told after every picture.
        read: what the engine wants to know of a face.

    Raises:
        InvalidInputError: the source is broken or too long.
    """
    scanner = _Scanner(find, max(face_index, 1), read)
    numbers: list[int] = []
    for time_us, picture, number in source.frames():
        scanner.see(time_us, picture)
        numbers.append(number)
        progress("finding the face", len(numbers), 0)
    scanner.look()
    return Scan(tuple(scanner.times_us), tuple(scanner.looks), tuple(scanner.cuts), tuple(numbers))


def scan_part(scan: Scan[T], keep: range) -> Scan[T]:
    """What a scan of only these pictures, in a row, would have seen."""
    start = scan.times_us[keep.start]
    looks = (look for look in scan.looks if look.picture in keep)
    return Scan(
        tuple(time - start for time in scan.times_us[keep.start : keep.stop]),
        tuple(
            replace(look, picture=look.picture - keep.start, time_us=look.time_us - start) for look in looks
        ),
        tuple(cut - keep.start for cut in scan.cuts if cut in keep and cut > keep.start),
        scan.numbers[keep.start : keep.stop],
    )


def big_enough(faces: tuple[Box, ...]) -> tuple[Box, ...]:
    """The faces a mouth can be drawn in."""
    return tuple(face for face in faces if min(face.width, face.height) >= FACE_SIDE_MIN)


def sharpness(picture: Picture, face: Box) -> float:
    """Variance of the Laplacian over the variance of the face at 96 pixels: about 0.3 sharp, 0.02 blurred.

    The measure of Pech-Pacheco et al. (2000), made independent of size and contrast.
    """
    side = _SHARPNESS_SIDE
    bounds = (
        max(face.x, 0),
        max(face.y, 0),
        min(face.x + face.width, picture.shape[1]),
        min(face.y + face.height, picture.shape[0]),
    )
    patch = Image.fromarray(picture).convert("L").resize((side, side), Image.Resampling.BOX, bounds)
    grey = np.asarray(patch).astype(np.float32)
    edges = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    return float(edges.var() / max(float(grey.var()), 1.0))


class Shots:
    """Tells where one shot ends and another begins, from pictures in their order."""

    def __init__(self) -> None:
        self._thumb: NDArray[np.float32] | None = None

    def begins(self, picture: Picture) -> bool:
        """Whether a new shot begins with this picture; never with the first."""
        before, self._thumb = self._thumb, _thumbnail(picture)
        return before is not None and float(np.abs(self._thumb - before).mean()) > _CUT_LEVELS


class _Scanner(Generic[T]):
    def __init__(self, find: FindFaces, face_index: int, read: Callable[[Picture, Box], T]) -> None:
        self._find = find
        self._read = read
        self._face_index = face_index
        self._waiting: list[tuple[int, Picture]] = []
        self._shots = Shots()
        self._followed: Box | None = None
        self._seen: bool | None = None
        self._due_us = 0
        self.times_us: list[int] = []
        self.looks: list[Look[T]] = []
        self.cuts: list[int] = []

    def see(self, time_us: int, picture: Picture) -> None:
        index = len(self.times_us)
        self.times_us.append(time_us)
        if self._shots.begins(picture):
            self.look()
            self.cuts.append(index)
            self._followed = self._seen = None
            self._due_us = time_us
        self._waiting.append((index, picture))
        if time_us >= self._due_us or len(self._waiting) >= _HELD_MAX:
            self.look()
            self._due_us = time_us + _LOOK_EVERY_US

    def look(self) -> None:
        """Looks at the latest picture; if it differs in having a face, at those since the last look too."""
        if not self._waiting:
            return
        *between, (index, picture) = self._waiting
        self._waiting = []
        faces = self._find(picture)
        seen = bool(big_enough(faces))
        if self._seen is not None and seen != self._seen:
            for earlier, passed in between:
                self._record(earlier, passed, self._find(passed))
        self._seen = seen
        self._record(index, picture, faces)

    def _record(self, index: int, picture: Picture, faces: tuple[Box, ...]) -> None:
        face = self._choose(big_enough(faces))
        if face is None:
            self.looks.append(Look(index, self.times_us[index], faces))
            return
        self._followed = face
        features = self._read(picture, face)
        self.looks.append(Look(index, self.times_us[index], faces, face, features, sharpness(picture, face)))

    def _choose(self, faces: tuple[Box, ...]) -> Box | None:
        if self._followed is not None and faces:
            nearest = max(faces, key=lambda face: overlap(face, self._followed or face))
            if overlap(nearest, self._followed) > _SAME_FACE:
                return nearest
        return faces[self._face_index - 1] if len(faces) >= self._face_index else None


def _thumbnail(picture: Picture) -> NDArray[np.float32]:
    step = max(1, min(picture.shape[:2]) // 24)
    thumb: NDArray[np.float32] = picture[step // 2 :: step, step // 2 :: step].astype(np.float32) @ LUMA
    return thumb
