"""Landmarks a person gives: the file they are kept in, and the bytes they are sent as.

The file is JSON: {"width": 1920, "height": 1080, "pictures": [[[x, y], ... 68 of them], null, ...]}, one
entry for each picture of the source, null where no face is seen. Width and height are those of the pictures
in which the points were found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import LANDMARK_PICTURES_MAX, SOURCE_SIDE_MAX

Points = NDArray[np.float32]
"""float32 [pictures, 68, 2], x then y in pixels, iBUG order; all NaN where a picture has no face."""

COUNT = 68
_BYTES_A_PICTURE = COUNT * 2 * 4
_FILE_BYTES_MAX = 64 * 1024 * 1024
_FARTHEST = 4 * SOURCE_SIDE_MAX
"""Points may lie outside of the picture, but not anywhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """What a file holds: the points, and the size of the pictures they belong to."""

    points: Points
    width: int
    height: int


def read_landmarks(path: Path) -> Landmarks:
    """Reads a landmarks file.

    Raises:
        InvalidInputError: it cannot be read, is larger than 64 MiB, or is not as described; names the field.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _wrong("landmarks", f"cannot be read: {error.strerror}") from None
    if len(data) > _FILE_BYTES_MAX:
        raise _wrong("landmarks", f"the file is larger than {_FILE_BYTES_MAX >> 20} MiB")
    try:
        content = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _wrong("landmarks", f"is not JSON: {error}") from None
    if not isinstance(content, dict) or set(content) != {"width", "height", "pictures"}:
        raise _wrong("landmarks", 'must be an object of "width", "height" and "pictures", nothing else')
    width, height = (_side(content[name], name) for name in ("width", "height"))
    return Landmarks(_pictures(content["pictures"]), width, height)


def pack(points: Points) -> bytes:
    """Points as they are sent: float32, little-endian."""
    return points.astype("<f4").tobytes()


def unpack(data: bytes) -> Points:
    """What `pack` gave.

    Raises:
        InvalidInputError: not whole pictures, too many, or points that are neither numbers nor all missing.
    """
    field = "config.repaint.landmarks"
    if len(data) % _BYTES_A_PICTURE:
        raise _wrong(field, f"has {len(data)} bytes; each picture has {_BYTES_A_PICTURE} (float32 [68, 2])")
    points = np.frombuffer(data, "<f4").reshape(-1, COUNT, 2)
    check_points(points, field)
    return points.astype(np.float32)


def check_points(points: Points, field: str) -> None:
    """Refuses points that cannot be those of a source's pictures. Raises InvalidInputError naming `field`."""
    if not 1 <= len(points) <= LANDMARK_PICTURES_MAX:
        raise _wrong(field, f"has {len(points)} pictures; must be 1 to {LANDMARK_PICTURES_MAX}")
    absent = np.isnan(points).all(axis=(1, 2))
    wrong = ~absent & ~(np.abs(points) <= _FARTHEST).all(axis=(1, 2))
    if wrong.any():
        number = int(np.flatnonzero(wrong)[0])
        raise _wrong(
            f"{field}[{number}]",
            f"all numbers must be -{_FARTHEST} to {_FARTHEST} pixels, or the whole picture be without a face",
        )
    if absent.all():
        raise InvalidInputError(Reason.NO_FACE, "no picture has a face", field=field)


def _pictures(listed: object) -> Points:
    if not isinstance(listed, list) or not 1 <= len(listed) <= LANDMARK_PICTURES_MAX:
        raise _wrong("pictures", f"must be a list of 1 to {LANDMARK_PICTURES_MAX} pictures' points")
    points = np.full((len(listed), COUNT, 2), np.nan, np.float32)
    for number, entry in enumerate(listed):
        if entry is not None:
            points[number] = _face(entry, f"pictures[{number}]")
    check_points(points, "pictures")
    return points


def _face(entry: Any, field: str) -> list[Any]:
    whole = isinstance(entry, list) and len(entry) == COUNT
    if not whole or not all(isinstance(point, list) and len(point) == 2 for point in entry):
        raise _wrong(field, f"must be null or a list of {COUNT} points, each [x, y]")
    if not all(
        type(number) in (int, float) and abs(number) <= _FARTHEST for point in entry for number in point
    ):
        raise _wrong(field, f"every x and y must be a number, -{_FARTHEST} to {_FARTHEST} pixels")
    found: list[Any] = entry
    return found


def _side(value: object, name: str) -> int:
    if type(value) is not int or not 1 <= value <= SOURCE_SIDE_MAX:
        raise _wrong(name, f"must be a whole number, 1 to {SOURCE_SIDE_MAX} pixels")
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number; write null for a picture without a face")


def _wrong(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(Reason.INVALID_ARGUMENT, message, field=field)
