"""From the 68 points of a face to the rectangle that is cut out, repainted and put back.

MuseTalk repaints the lower half of that rectangle, so its middle must lie on the nose: point 29 is the
middle, the lowest point the bottom, and the top as far above the middle as the bottom is below. All functions
are pure; with whole-numbered points they compute exactly what MuseTalk 1.5's scripts do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_inference.bundle import Box

Points = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]
"""[68, 2], x then y in pixels of a picture, in the order of iBUG 300-W: 0-16 jaw, 17-26 brows, 27-30 bridge
of the nose, 31-35 nostrils, 36-47 eyes, 48-67 mouth."""

UPSTREAM_MARGIN = 10
_MIDDLE, _BELOW_IT, _ABOVE_IT = 29, 30, 28
_CROP_SIDE = 256
_HD = 720
_LEAST_SIDE = 16
_LEAST_SEEN = 0.5


class Corners(NamedTuple):
    """A rectangle by its edges, in pixels; it may reach out of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, box: Box) -> Corners:
        """The edges of a box."""
        return cls(box.x, box.y, box.x + box.width, box.y + box.height)


def corners(points: Points, shift: float = 0) -> Corners:
    """The rectangle of a face: h = y29 + shift, bottom = max y, top = max(0, h - (bottom - h)), sides by x.

    As in the reference point 29 is moved before the bottom is taken.

    Args:
        points: float or integer; integers give integers.
        shift: how far the middle is moved down.
    """
    rows = points[:, 1].copy()
    rows[_MIDDLE] += shift
    bottom, middle = rows.max(), rows[_MIDDLE]
    top = max(0, (middle - (bottom - middle)).item())
    return Corners(points[:, 0].min().item(), top, points[:, 0].max().item(), bottom.item())


def face_corners(points: Points, detected: Corners | None, shift: float = 0) -> Corners | None:
    """`corners`, or what a detector found where these are of no use: empty, or left of the picture.

    Args:
        points: of the picture.
        detected: the detector's face; None where it found none, which means that there is none.
        shift: see `corners`.
    """
    if detected is None:
        return None
    found = corners(points, shift)
    usable = found.bottom > found.top and found.right > found.left and found.left >= 0
    return found if usable else detected


def lowered(face: Corners, margin: float, height: int) -> Corners:
    """With so many pixels more below the chin, but no further than the end of a picture of this height."""
    return face._replace(bottom=min(face.bottom + margin, height))


def default_margin(face: Corners, width: int, height: int) -> int:
    """Pixels to take in below the chin in a picture of this size.

    The model was trained on 10 pixels of ordinary videos. In larger pictures that would be nothing, so above
    720p it is 10 of the 256 pixels to which the face is scaled.
    """
    if min(width, height) <= _HD:
        return UPSTREAM_MARGIN
    return round((face.bottom - face.top) * UPSTREAM_MARGIN / _CROP_SIDE)


def within(face: Corners, width: int, height: int) -> Box | None:
    """The part within a picture of this size, rounded; None when less than half or under 16 pixels is left.

    The reference stretches what is left over the whole rectangle, which distorts the face.
    """
    left, top, right, bottom = (round(edge) for edge in face)
    inside = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    seen_width, seen_height = inside[2] - inside[0], inside[3] - inside[1]
    if min(seen_width, seen_height) < _LEAST_SIDE:
        return None
    if seen_width * seen_height < _LEAST_SEEN * (right - left) * (bottom - top):
        return None
    return Box(inside[0], inside[1], seen_width, seen_height)


def shift_range(faces: Sequence[Points]) -> tuple[int, int]:
    """Within which shifts the middle stays on the nose, as the reference prints it.

    Args:
        faces: points of all pictures with a face, truncated to integers; at least one.

    Returns:
        -mean(y30 - y29) and mean(y29 - y28), truncated.
    """
    up = int(np.mean([points[_BELOW_IT, 1] - points[_MIDDLE, 1] for points in faces]))
    down = int(np.mean([points[_MIDDLE, 1] - points[_ABOVE_IT, 1] for points in faces]))
    return -up, down
