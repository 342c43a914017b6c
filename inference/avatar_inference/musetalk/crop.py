"""A face as the networks see it: cut out of its picture and scaled to a square."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_inference.bundle import Box, Picture
from avatar_inference.engine import CROP


def cut_face(picture: Picture, box: Box) -> NDArray[np.uint8]:
    """The box of a picture, scaled to a crop.

    By OpenCV's LANCZOS4 (8 x 8 taps, no antialiasing), which MuseTalk's scripts use; other resamplers are
    tens of levels off where a face is scaled down.

    Args:
        picture: uint8 RGB [H, W, 3].
        box: where the face is; what lies outside of the picture is left out before scaling.

    Returns:
        uint8 RGB [256, 256, 3].
    """
    part = picture[box.y : box.y + box.height, box.x : box.x + box.width]
    return np.asarray(cv2.resize(part, (CROP, CROP), interpolation=cv2.INTER_LANCZOS4), np.uint8)
