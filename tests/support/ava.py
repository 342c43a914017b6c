"""The built-in avatar, and a way to measure its mouth by colour, as told in ava.svg."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from avatar_inference.bundle import Bundle, Picture
from avatar_inference.bundle_io import read_bundle
from avatar_inference.preview.engine import PreviewEngine
from avatar_inference.preview.rig import RigFace

MOUTH_ROWS, MOUTH_COLUMNS = slice(128, 226), slice(60, 196)
"""Part of the crop that holds the lips of every mouth in every picture, and neither nostrils nor hair."""


@cache
def ava() -> Bundle:
    """The built-in bundle."""
    folder = PreviewEngine().builtin("ava")
    assert folder
    return read_bundle(folder, expect=None)


@cache
def ava_face() -> RigFace:
    """Its face."""
    return RigFace(ava())


@dataclass(frozen=True, slots=True)
class Mouth:
    """A measured mouth, in pixels.

    Attributes:
        opening: height of the inside in the middle.
        inside: all pixels of the inside, teeth included.
        teeth: pixels of teeth.
        width, height: of the lips, from edge to edge.
    """

    opening: int
    inside: int
    teeth: int
    width: int
    height: int


def measure(crop: Picture) -> Mouth:
    """Measures the mouth in a crop, uint8 RGB [256, 256, 3]."""
    red, green, blue = np.moveaxis(crop[MOUTH_ROWS, MOUTH_COLUMNS].astype(int), -1, 0)
    lips = (red - green > 78) & (red > 150)
    rows, columns = _extent(lips.sum(axis=1) >= 2), _extent(lips.sum(axis=0) >= 2)
    pale = (red - blue < 45)[rows, columns]
    inside = (red < 140)[rows, columns] | pale
    teeth = pale & (blue > 150)[rows, columns]
    middle = inside.shape[1] // 2
    opening = int(np.median(inside[:, middle - 1 : middle + 2].sum(axis=0)))
    return Mouth(opening, int(inside.sum()), int(teeth.sum()), inside.shape[1], inside.shape[0])


def _extent(seen: NDArray[np.bool_]) -> slice:
    found = np.flatnonzero(seen)
    return slice(int(found[0]), int(found[-1]) + 1)
