"""The square about mouth and jaw that a photograph's face is drawn in, and the soft ellipse it is pasted by.

All proportions are of the square's side, so that the mask of any box and the field of the warp agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar_inference.bundle import Box, Mask

Field = NDArray[np.floating[Any]]
"""float32, one number a pixel."""

MOUTH_X, MOUTH_Y = 0.5, 0.42
"""Where the mouth lies in the square, unless the picture's border pushes it elsewhere."""
CENTRE_X, CENTRE_Y = 0.5, 0.6
RADIUS_X, RADIUS_Y = 0.4, 0.37
"""The ellipse: from below the nose to below the chin."""
_SOFT = 0.25
"""Part of the radius over which the mask fades."""
_STEP = 4
"""Boxes have sides of a multiple of this, so that a moving face needs few masks."""


def smoothstep(t: Field) -> Field:
    """0 for t <= 0, 1 for t >= 1, 3t² - 2t³ between."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mouth_box(x: float, y: float, face: float, width: int, height: int) -> Box:
    """The square for a mouth at x, y of a face so wide, within a picture; all in pixels."""
    side = max(_STEP, min(round(face / _STEP) * _STEP, width, height))
    left = min(max(round(x - MOUTH_X * side), 0), width - side)
    top = min(max(round(y - MOUTH_Y * side), 0), height - side)
    return Box(left, top, side, side)


def depth(side: int) -> Field:
    """How far within the ellipse each pixel of a square lies: 1 in its middle, 0 on and outside the border.

    Returns:
        float32 [side, side].
    """
    at = (np.arange(side, dtype=np.float32) + 0.5) / side
    across = ((at - CENTRE_X) / RADIUS_X) ** 2
    down = ((at - CENTRE_Y) / RADIUS_Y) ** 2
    return np.maximum(1.0 - np.sqrt(across[None, :] + down[:, None]), 0.0)


def mouth_mask(side: int) -> Mask:
    """The mask of a square of so many pixels: uint8 [side, side], 0 along its border."""
    return np.round(255 * smoothstep(depth(side) / _SOFT)).astype(np.uint8)
