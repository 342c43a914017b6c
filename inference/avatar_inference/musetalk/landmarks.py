"""The 68 points of the face that speaks, in every picture of a source: given by a person, or looked for.

Both ways end in `Seen`. Nothing is smoothed yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Box, Picture
from avatar_inference.engine import PrepareOptions, PrepareProgress
from avatar_inference.musetalk.finders import Finders, missing
from avatar_inference.source.faces import FindFaces, given_face, haar_faces, overlap
from avatar_inference.source.findings import check_scan
from avatar_inference.source.scan import Look, Scan, Shots, big_enough, scan_source, sharpness
from avatar_inference.source.source import Source
from avatar_inference.source.track import settle

FacePoints = NDArray[np.float64]
"""float64 [68, 2], pixels of the picture; see `facebox.Points`."""

_FACE = slice(23, 91)
"""The face's points among the 133 of COCO-WholeBody."""
_AROUND = 1.25
"""With several faces the network is shown so many faces' sizes to every side of the one that speaks."""
_SAME_FACE = 0.1


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in a source.

    Attributes:
        scan: times, cuts, and looks at faces.
        points: of each picture; None where no face speaks.
        faces: the box of the same face, as a detector sees it.
    """

    scan: Scan[Any]
    points: tuple[FacePoints | None, ...]
    faces: tuple[Box | None, ...]


def see(source: Source, options: PrepareOptions, finders: Finders, progress: PrepareProgress) -> Seen:
    """Reads the source and finds the points of the face that speaks.

    Raises:
        InvalidInputError: NoFace, SeveralFaces, FaceTooSmall; InvalidPicture; InvalidArgument for options.
        AvatarError: WeightsMissing, when points are neither given nor can be looked for.
    """
    given = options.repaint.landmarks
    if given is not None:
        _check_size(options.repaint.landmarks_size, source)
        return _read(source, given, progress)
    if finders.points is None:
        raise missing("finding the points of a face", "give them with --landmarks FILE")
    return _look(source, options, finders, progress)


def face_of(points: FacePoints) -> Box:
    """The box of a face by its points: as wide as the jaw, from the brows to the chin."""
    left, top = np.floor(points.min(axis=0)).astype(int).tolist()
    right, bottom = np.ceil(points.max(axis=0)).astype(int).tolist()
    return Box(left, top, max(right - left, 1), max(bottom - top, 1))


def _read(source: Source, given: NDArray[np.float32], progress: PrepareProgress) -> Seen:
    shots, times, numbers, looks, cuts = Shots(), [], [], [], []
    for index, (time_us, picture, number) in enumerate(source.frames()):
        if number >= len(given):
            raise _wrong(f"has points for {len(given)} pictures, but the source has more; give all of them")
        if shots.begins(picture):
            cuts.append(index)
        times.append(time_us)
        numbers.append(number)
        looks.append(_look_at(index, time_us, picture, given[number].astype(np.float64) * source.scale))
        progress("reading the points", index + 1, 0)
    left_out = max((after - before for before, after in pairwise(numbers)), default=1)
    if len(given) > numbers[-1] + left_out:
        raise _wrong(f"has points for {len(given)} pictures, but the source has {numbers[-1] + 1}")
    scan = Scan(tuple(times), tuple(looks), tuple(cuts), tuple(numbers))
    check_scan(scan, 1, source.scale)
    return Seen(scan, tuple(look.features for look in looks), tuple(look.face for look in looks))


def _look_at(index: int, time_us: int, picture: Picture, points: FacePoints) -> Look[FacePoints]:
    if np.isnan(points).any():
        return Look(index, time_us, ())
    face = face_of(points)
    if not big_enough((face,)):
        return Look(index, time_us, (face,))
    return Look(index, time_us, (face,), face, points, sharpness(picture, face))


def _check_size(size: tuple[int, int] | None, source: Source) -> None:
    """Points of a video that was turned or scaled are the likeliest mistake."""
    if size is None:
        return
    # Pictures lose an odd last row or column.
    off = max(abs(size[0] * source.scale - source.width), abs(size[1] * source.scale - source.height))
    if off > 1.5:
        found = f"{round(source.width / source.scale)}x{round(source.height / source.scale)}"
        raise _wrong(
            f"is for pictures of {size[0]}x{size[1]}, the source's are about {found} when upright; find the "
            "points in the source as it is shown"
        )


def _wrong(message: str) -> InvalidInputError:
    return InvalidInputError(Reason.INVALID_ARGUMENT, message, field="repaint.landmarks")


def _look(source: Source, options: PrepareOptions, finders: Finders, progress: PrepareProgress) -> Seen:
    finder = _finder(source, options, finders)
    scan = scan_source(source, finder, options.face_index, progress, lambda picture, face: None)
    check_scan(scan, options.face_index, source.scale)
    faces = [None if row is None else _box(row) for row in settle(scan, _row)]
    # MuseTalk shows the network the whole picture, as if it held one person. Who says where the face is may
    # have others in the picture.
    alone = options.face_box is None and not any(len(look.faces) > 1 for look in scan.looks)
    assert finders.points is not None
    points: list[FacePoints | None] = []
    for index, (_, picture, _) in enumerate(source.frames()):
        progress("finding the points", index + 1, len(faces))
        points.append(_points(finders.points, picture, faces[index], alone=alone))
    seen = tuple(face if found is not None else None for face, found in zip(faces, points, strict=True))
    return Seen(scan, tuple(points), seen)


def _finder(source: Source, options: PrepareOptions, finders: Finders) -> FindFaces:
    if options.face_box is not None:
        return given_face(options.face_box, source.scale, source.width, source.height)
    detect = finders.faces
    if detect is None:
        return haar_faces()

    def find(picture: Picture) -> tuple[Box, ...]:
        boxes = [Box(x, y, right - x, bottom - y) for (x, y, right, bottom), _ in detect(picture)]
        return tuple(sorted(boxes, key=lambda box: (-box.width, box.x, box.y)))

    return find


def _row(look: Look[None]) -> NDArray[np.float64]:
    assert look.face is not None
    return np.array([look.face.x, look.face.y, look.face.width, look.face.height], np.float64)


def _box(row: NDArray[np.floating[Any]]) -> Box:
    return Box(*(round(float(number)) for number in row))


def _points(
    find: Callable[[Picture], NDArray[np.floating[Any]]], picture: Picture, face: Box | None, *, alone: bool
) -> FacePoints | None:
    """The face's points; None where there is no face, or the network saw another one."""
    if face is None:
        return None
    left, top, right, bottom = (0, 0, picture.shape[1], picture.shape[0]) if alone else _around(face, picture)
    part = np.ascontiguousarray(picture[top:bottom, left:right])
    points = np.asarray(find(part), np.float64)[_FACE] + (left, top)
    return points if overlap(face_of(points), face) > _SAME_FACE else None


def _around(face: Box, picture: Picture) -> Sequence[int]:
    across, down = round(_AROUND * face.width), round(_AROUND * face.height)
    return (
        max(face.x + face.width // 2 - across, 0),
        max(face.y + face.height // 2 - down, 0),
        min(face.x + face.width // 2 + across, picture.shape[1]),
        min(face.y + face.height // 2 + down, picture.shape[0]),
    )
