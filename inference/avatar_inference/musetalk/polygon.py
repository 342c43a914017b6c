"""A mask from the 68 points alone: the face from below the nose to the chin, with a soft border.

It needs no face parser. It is empty along the border of the box and above the box's middle, so that no seam
can show, and full over the mouth.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_inference.bundle import Box, Mask
from avatar_inference.musetalk.facebox import Points

RAMP = 0.08
"""Width of the soft border as part of the box's shorter side."""
_JAW, _UNDER_NOSE, _LIPS = slice(2, 15), slice(35, 30, -1), slice(48, 60)
_FRACTION_BITS = 4


def polygon_mask(points: Points, box: Box) -> Mask:
    """The mask of a face's box.

    Inside the jaw line (points 2 to 14), closed under the nose (35 to 31), the mask rises from 0 to 255 by
    3t² - 2t³, t the distance to the border in ramps. The jaw line is first moved outwards by half a ramp, so
    that the border of the old face, where it meets the neck, is half covered; the lips by a whole one, so
    that they are fully covered however short the way to the nose.

    Args:
        points: of the picture; the smoothed ones.
        box: of the face, margin included; its middle row is above the upper end of the mask.

    Returns:
        uint8 [box.height, box.width], 0 along all four edges and above the middle.
    """
    ramp = max(2.0, RAMP * min(box.width, box.height))
    # One pixel more all around, always empty: so the box's edges count as borders.
    canvas = np.zeros((box.height + 2, box.width + 2), np.uint8)
    at = np.asarray(points, np.float64) - (box.x - 1, box.y - 1)
    _fill(canvas, np.concatenate([at[_JAW], at[_UNDER_NOSE]]))
    _stroke(canvas, at[_JAW], ramp, closed=False)
    _fill(canvas, at[_LIPS])
    _stroke(canvas, at[_LIPS], 2 * ramp, closed=True)
    canvas[: 1 + box.height // 2] = 0
    canvas[[0, -1]] = 0
    canvas[:, [0, -1]] = 0
    depth = cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    t = np.clip((depth - 1) / ramp, 0, 1)
    return np.asarray(np.round(255 * t * t * (3 - 2 * t)), np.uint8)


def _fixed(line: NDArray[np.float64]) -> NDArray[np.int32]:
    # Far outside of the box is as good as anywhere outside of it, and stays within OpenCV's numbers.
    return np.round(np.clip(line, -10_000, 10_000) * (1 << _FRACTION_BITS)).astype(np.int32)


def _fill(canvas: Mask, line: NDArray[np.float64]) -> None:
    cv2.fillPoly(canvas, [_fixed(line)], 255, shift=_FRACTION_BITS)


def _stroke(canvas: Mask, line: NDArray[np.float64], width: float, *, closed: bool) -> None:
    cv2.polylines(canvas, [_fixed(line)], closed, 255, max(1, round(width)), shift=_FRACTION_BITS)
