"""Stand-ins for the networks of preparation where these do not matter, and preparing with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tests.support.landmarks import ASTRONAUT
from tests.support.portraits import FACE, astronaut

from avatar_inference.bundle import Picture
from avatar_inference.engine import Prepared, PrepareOptions, RepaintOptions
from avatar_inference.musetalk.finders import Finders
from avatar_inference.musetalk.prepare import prepare_repaint

_PATCH = (slice(95, 160), slice(195, 255))
"""Rows and columns of the portrait's eyes, nose and mouth."""
_SURE = 0.9


def block_means(crops: NDArray[np.uint8]) -> NDArray[np.float16]:
    """In place of the encoder: which crop it was can be told from the result, float16 [B, 8, 32, 32]."""
    blocks = crops.reshape(len(crops), 32, 8, 32, 8, 3).mean(axis=(2, 4)) / 255
    return blocks[..., [0, 1, 2, 0, 1, 2, 0, 1]].transpose(0, 3, 1, 2).astype(np.float16)


def portraits_in(picture: Picture) -> list[tuple[int, int, float]]:
    """How far the portrait's faces in a picture are from where they are in the portrait, the surest first."""
    patch = astronaut()[_PATCH]
    if picture.shape[0] < patch.shape[0] or picture.shape[1] < patch.shape[1]:
        return []
    likeness = cv2.matchTemplate(np.ascontiguousarray(picture), patch, cv2.TM_CCOEFF_NORMED)
    found = []
    while likeness.max() > _SURE:
        y, x = np.unravel_index(likeness.argmax(), likeness.shape)
        found.append((int(x) - _PATCH[1].start, int(y) - _PATCH[0].start, float(likeness[y, x])))
        likeness[max(y - 40, 0) : y + 40, max(x - 40, 0) : x + 40] = 0
    return found


def points_by_likeness(picture: Picture) -> NDArray[np.float64]:
    """In place of the landmark network: float64 [133, 2]; knows the portrait's face only, of its own size."""
    found = portraits_in(picture) or [(0, 0, 0.0)]
    whole = np.zeros((133, 2))
    whole[23:91] = ASTRONAUT + np.array(found[0][:2])
    return whole


def faces_by_likeness(picture: Picture) -> list[tuple[tuple[int, int, int, int], float]]:
    """In place of the detector."""
    return [
        ((FACE.x + x, FACE.y + y, FACE.x + FACE.width + x, FACE.y + FACE.height + y), score)
        for x, y, score in portraits_in(picture)
    ]


LIKENESS = Finders(block_means, points_by_likeness, faces_by_likeness)
"""Knows the portrait's face."""


def repaint(
    path: Path,
    *,
    finders: Finders | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    fps: Any = None,
    side_max: int = 1280,
    face_index: int = 0,
    face_box: tuple[int, int, int, int] | None = None,
    **options: Any,
) -> Prepared:
    """`prepare_repaint`; without `finders` only the encoder is there."""
    wanted = PrepareOptions(
        "someone", face_box, face_index, fps=fps, side_max=side_max, repaint=RepaintOptions(**options)
    )
    return prepare_repaint(path, wanted, finders or Finders(block_means), progress)
