"""Pastes a face into the picture: pure, exact in integers, nothing changes outside the mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar_inference.bundle import Box, Mask, Picture


def paste(picture: Picture, face: NDArray[np.uint8], box: Box, mask: Mask) -> Picture:
    """Blends a face of the box's size into a copy of the picture.

    Every value becomes round((face * m + picture * (255 - m)) / 255) with m from the mask.

    Args:
        picture: uint8 RGB [H, W, 3]; left as it is.
        face: uint8 RGB [box.height, box.width, 3].
        box: within the picture.
        mask: uint8 [box.height, box.width].

    Returns:
        uint8 RGB [H, W, 3].
    """
    result = picture.copy()
    rows, columns = _extent(mask)
    under = result[box.y : box.y + box.height, box.x : box.x + box.width][rows, columns]
    _blend(under, face[rows, columns], mask[rows, columns])
    return result


def _extent(mask: Mask) -> tuple[slice, slice]:
    """The smallest rectangle that holds every pixel above 0."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def stretch_bicubic(crop: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """uint8 RGB [h, w, 3] at another size; smooths when it shrinks. As it is when it has the size."""
    if crop.shape[:2] == (height, width):
        return crop
    return np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BICUBIC))


def _blend(under: NDArray[np.uint8], face: NDArray[np.uint8], mask: Mask) -> None:
    """Writes the blend into `under`. round(v / 255) is (s + (s >> 8)) >> 8 with s = v + 128, v <= 65025."""
    weight = np.repeat(mask.astype(np.uint16), 3, axis=1).reshape(face.shape)
    total = face * weight
    np.subtract(255, weight, out=weight)
    np.multiply(weight, under, out=weight)
    total += weight
    total += 128
    np.right_shift(total, 8, out=weight)
    total += weight
    total >>= 8
    under[...] = total
