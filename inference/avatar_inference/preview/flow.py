"""The displacement field of a speaking mouth: where in the crop every pixel of it comes from.

All displacements end within the mask's ellipse, and none is so steep that the picture would fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar_inference.engine import CROP
from avatar_inference.preview import region
from avatar_inference.preview.mouth import MouthShape
from avatar_inference.preview.parting import Mouth
from avatar_inference.preview.region import Field, smoothstep

_GAPE = 0.68
"""Distance between the lips of a wide open mouth, in half-widths of the mouth."""
_UPPER = 0.1
"""The upper lip's share of it."""
_NARROWER, _WIDER = 0.36, 0.16
"""How much more (less) of the picture a puckered (drawn) mouth shows in its width."""

# The part of the crop that can change: rows and columns the ellipse touches.
TOP = int((region.CENTRE_Y - region.RADIUS_Y) * CROP)
BOTTOM = int((region.CENTRE_Y + region.RADIUS_Y) * CROP) + 1
LEFT = int((region.CENTRE_X - region.RADIUS_X) * CROP)
RIGHT = int((region.CENTRE_X + region.RADIUS_X) * CROP) + 1
ROWS = np.arange(TOP, BOTTOM, dtype=np.float32)[:, None]
_X = np.arange(LEFT, RIGHT, dtype=np.float32)[None, :]
INSIDE = smoothstep(region.depth(CROP)[TOP:BOTTOM, LEFT:RIGHT] / 0.2)
_FLOOR = CROP * (
    region.CENTRE_Y
    + region.RADIUS_Y
    * np.sqrt(np.maximum(1 - (((_X + 0.5) / CROP - region.CENTRE_X) / region.RADIUS_X) ** 2, 0))
)
"""Row of the ellipse's lower border in each column."""


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Where each pixel of the changing part comes from; float32 [h, w] each, in pixels of the crop.

    Attributes:
        x, y: the place in the picture's crop.
        along: place across the mouth, -1 and 1 at its corners.
        upper, lower: rows of the lips' inner edges in the pixel's column.
    """

    x: Field
    y: Field
    along: Field
    upper: Field
    lower: Field


def find_flow(mouth: Mouth, shape: MouthShape) -> Flow:
    """The displacement field: first across, then, in the picture's own columns, down."""
    half = mouth.half_width
    dx = _X - mouth.x
    level = ROWS - (mouth.y + mouth.tilt * dx)
    x = dx * (1 + _pull(shape.spread) * _fade_across(dx, half) * bump(level / (0.18 * CROP)) * INSIDE)
    u = x / half
    gap = _lens(u)
    line = mouth.y + mouth.tilt * x - mouth.sag * np.minimum(u * u, 2.0)
    gape = shape.opening * _GAPE * half
    upper, lower = line - _UPPER * gape * gap, line + (1 - _UPPER) * gape * gap
    v = np.clip((ROWS - lower) / np.maximum(_FLOOR - lower, 1.0), 0.0, 1.0)
    jaw = (1 - _UPPER) * gape * _lens(u / (1 + 0.7 * smoothstep(2 * v))) * (1 - smoothstep(v))
    nose = _UPPER * gape * gap * (1 - smoothstep((upper - ROWS) / (0.14 * CROP)))
    # Between the lips there is nothing to move; the line they met on is the darkest to fade from.
    y = ROWS + np.where(lower < ROWS, -jaw, np.minimum(nose, line - ROWS)) * INSIDE
    if shape.press > 0:
        thin = 0.5 * shape.press * (1 - shape.opening) * gap * INSIDE
        y += (y - line) * thin * bump((y - line) / (0.09 * CROP))
    return Flow(x + mouth.x, y, u, upper, lower)


def _pull(spread: float) -> float:
    """How much wider a part of the picture the mouth shows: positive makes it narrower."""
    return _NARROWER * (1 - 2 * spread) if spread < 0.5 else -_WIDER * (2 * spread - 1)


def _fade_across(dx: Field, half: float) -> Field:
    """1 at the mouth, 0 well outside of its corners, never so steep that the picture folds."""
    far: Field = np.minimum((dx / (1.55 * half)) ** 4, 1.0)
    return (1 - far) ** 2


def bump(t: Field) -> Field:
    """1 at 0, 0 beyond -1 and 1, smooth."""
    near: Field = np.maximum(1 - t * t, 0.0)
    return near * near


def _lens(u: Field) -> Field:
    """The outline of parted lips: 1 in the middle, 0 from the corners (-1 and 1) on, smooth."""
    near: Field = np.maximum(1 - u * u, 0.0)
    return near * (1.25 - 0.25 * near)
