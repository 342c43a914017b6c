"""MuseTalk's own masks: where a face parser sees skin, mouth and lips, blurred.

The parser names every pixel of a square about the face; see `REGIONS` for its names. All numbers are those of
MuseTalk 1.5's real-time script.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar_inference.bundle import Box, Mask, Picture
from avatar_inference.musetalk.facebox import Corners

ParserMode = Literal["jaw", "raw", "neck"]
Labels = NDArray[np.uint8]
"""uint8 [512, 512]: 1 skin, 10 nose, 11 mouth, 12 and 13 lips, 14 neck and others of CelebAMask-HQ."""
FindLabels = Callable[[Picture], Labels]
"""From a square, uint8 RGB [n, n, 3], to the labels of its pixels."""

REALTIME_BLUR, OFFLINE_BLUR = 0.1, 0.05
"""Side of the blur's kernel as part of the square's; the reference's two scripts differ."""
_SKIN, _NOSE, _MOUTH, _NECK = 1, 10, (11, 12, 13), 14
_SIDE = 512
_EXPAND = 1.5


def parser_mask(
    picture: Picture, box: Box, find: FindLabels, mode: ParserMode, cheeks: tuple[int, int]
) -> Mask:
    """The mask of a face's box.

    Args:
        picture: uint8 RGB [H, W, 3].
        box: of the face, margin included.
        find: names the pixels of a square.
        mode, cheeks: see `speaking_part`.

    Returns:
        uint8 [box.height, box.width].
    """
    face = Corners.of(box)
    left, top, _ = square(face)
    soft = soften(speaking_part(find(cut_square(picture, face)), mode, cheeks), face)
    rows = slice(box.y - top, box.y - top + box.height)
    return np.ascontiguousarray(soft[rows, box.x - left : box.x - left + box.width])


def square(face: Corners) -> tuple[int, int, int]:
    """Left, top and half the side of the square that the parser sees: 1.5 times the face's longer side.

    It may reach out of the picture. (200, 300, 500, 640) gives (95, 215, 255).
    """
    left, top, right, bottom = (int(edge) for edge in face)
    half = int(max(right - left, bottom - top) // 2 * _EXPAND)
    return (left + right) // 2 - half, (top + bottom) // 2 - half, half


def cut_square(picture: Picture, face: Corners) -> Picture:
    """The square about a face, uint8 RGB [2s, 2s, 3]; black where it reaches out of the picture."""
    left, top, half = square(face)
    cut = np.zeros((2 * half, 2 * half, 3), np.uint8)
    height, width = picture.shape[:2]
    x, y = max(left, 0), max(top, 0)
    seen = picture[y : max(min(top + 2 * half, height), y), x : max(min(left + 2 * half, width), x)]
    cut[y - top : y - top + seen.shape[0], x - left : x - left + seen.shape[1]] = seen
    return cut


def speaking_part(labels: Labels, mode: ParserMode, cheeks: tuple[int, int] = (90, 90)) -> Mask:
    """Which pixels are repainted.

    Args:
        labels: uint8 [512, 512].
        mode: "raw" takes skin, mouth and lips, "neck" the neck too; "jaw" lets the skin grow upwards and a
            little downwards, narrows it on the cheeks, and leaves the nose out.
        cheeks: for "jaw": how far the middle part that is not narrowed reaches left and right, 0 to 256.

    Returns:
        uint8 [512, 512] of 0 and 255.
    """
    taken = np.isin(labels, _MOUTH)
    if mode == "jaw":
        taken |= (_jaw(labels, cheeks) == 255) & (labels != _NOSE)
    else:
        taken |= np.isin(labels, (_SKIN, _NECK) if mode == "neck" else (_SKIN,))
    return taken.astype(np.uint8) * np.uint8(255)


def soften(part: Mask, face: Corners, blur: float = REALTIME_BLUR) -> Mask:
    """The mask of the square: scaled to it, cut to the face, its upper half emptied, blurred.

    The kernel is int(((blur · 2s) // 2) · 2) + 1 wide, sigma OpenCV's own for that width.

    Args:
        part: what `speaking_part` gives.
        face: margin included.
        blur: part of the square's side.

    Returns:
        uint8 [2s, 2s].
    """
    left, top, half = square(face)
    side = 2 * half
    scaled = np.asarray(Image.fromarray(part).resize((side, side), Image.Resampling.BICUBIC))
    kept = np.zeros((side, side), np.uint8)
    rows = slice(max(int(face.top) - top, half), int(face.bottom) - top)
    columns = slice(int(face.left) - left, int(face.right) - left)
    kept[rows, columns] = scaled[rows, columns]
    kernel = int(blur * side // 2 * 2) + 1
    return np.asarray(cv2.GaussianBlur(kept, (kernel, kernel), 0), np.uint8)


def _jaw(labels: Labels, cheeks: tuple[int, int]) -> Mask:
    grown = cv2.dilate((labels == _SKIN).astype(np.uint8) * np.uint8(255), _growth())
    narrowed = cv2.erode(grown, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 3)), iterations=2)
    left, right = _SIDE // 2 - cheeks[0] + 1, _SIDE // 2 + cheeks[1]
    jaw = np.array(grown, np.uint8)
    jaw[:, :left], jaw[:, right:] = narrowed[:, :left], narrowed[:, right:]
    return jaw


@cache
def _growth() -> NDArray[np.uint8]:
    """What skin grows by, [33, 33]: a wedge of rows 10 to 20, 1 to 21 wide, on a block of 12 rows."""
    kernel = np.zeros((33, 33), np.uint8)
    for row in range(10, 33):
        reach = min(row, 20) - 10
        kernel[row, 16 - reach : 17 + reach] = 1
    return kernel
