"""Whether a face is in a picture, and where: S3FD as MuseTalk runs it.

Upstream's numbers: means (104, 117, 123), boxes from anchors of four strides with variances 0.1 and 0.2,
overlaps above 0.3 suppressed, scores above 0.5 kept.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avatar_inference.bundle import Picture
from avatar_inference.musetalk.picture import as_batch, check_picture, exact, per_channel
from avatar_inference.musetalk.s3fd import SIDE_MIN, Grid

Corners = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the picture. Right and bottom may lie outside of it."""

PIXELS_MAX = 1 << 22
"""Larger pictures are looked at scaled down to this many pixels, as the first maps take 512 bytes a pixel and
the whole takes 3 GiB at this size. Up to here (2560x1600) nothing is scaled, as upstream has it."""

CANDIDATES_MAX = 10_000
"""More places that say "face" than a crowd has: beyond it only the best are looked at, which bounds time."""

_MEANS = (104.0, 117.0, 123.0)
"""Of blue, green and red, yet the network was trained and is run with them on red, green and blue."""
_SCORE_MIN, _OVERLAP_MAX = 0.5, 0.3
_SHIFT, _GROWTH = 0.1, 0.2
_STRIDE_MIN = 4
_FAR = 1e6
"""Pixels. Boxes that reach farther, or to infinity, come of damaged weights and are no faces."""

Boxes = NDArray[np.float32]
"""float32 [n, 5]: left, top, right, bottom, score."""


class FaceFinder:
    """Finds faces. Calls from several threads are fine.

    Args:
        module: an `S3fd` with its weights loaded, float32; taken over.
        device: where to run it.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._module = module.eval().to(device)
        self._device = device
        self._means = per_channel(_MEANS, device)

    def __call__(self, picture: Picture) -> list[tuple[Corners, float]]:
        """Finds all faces.

        Args:
            picture: uint8 RGB [H, W, 3], 32 to 8192 pixels a side.

        Returns:
            Box and score (0.5 to 1) of each face, best first; none when there is no face. Left and top are at
            least 0; all are truncated to whole pixels.

        Raises:
            InvalidInputError: it is no such picture.
        """
        check_picture(picture, SIDE_MIN)
        seen = _bounded(picture)
        boxes = suppress(_best(self._candidates(seen)), _OVERLAP_MAX)
        scale_x, scale_y = picture.shape[1] / seen.shape[1], picture.shape[0] / seen.shape[0]
        corners = np.maximum(boxes[:, :4], 0) * np.array([scale_x, scale_y] * 2, np.float32)
        found = zip(corners.astype(np.int64).tolist(), boxes[:, 4].tolist(), strict=True)
        return [((left, top, right, bottom), score) for (left, top, right, bottom), score in found]

    def _candidates(self, picture: Picture) -> Boxes:
        with exact(self._device):
            grids = self._module(as_batch(picture, self._device) - self._means)
            boxes = [decode(grid, _STRIDE_MIN << level) for level, grid in enumerate(grids)]
            return torch.cat(boxes).cpu().numpy()


def decode(grid: Grid, stride: int) -> Tensor:
    """The boxes of one grid, of a batch of one, that are likely faces.

    Upstream keeps scores from 0.05 on until overlaps are suppressed and then drops those up to 0.5. As
    suppression goes from the best score down, those never decide about better ones; they are dropped here.

    Returns:
        float32 [n, 5], row by row through the grid.
    """
    scores = grid.scores.softmax(dim=1)[0, 1]
    rows, columns = (scores > _SCORE_MIN).nonzero(as_tuple=True)
    shift_x, shift_y, growth_x, growth_y = grid.boxes[0, :, rows, columns]
    anchor = 4.0 * stride
    width, height = anchor * torch.exp(growth_x * _GROWTH), anchor * torch.exp(growth_y * _GROWTH)
    left = stride / 2 + columns * stride + shift_x * _SHIFT * anchor - width / 2
    top = stride / 2 + rows * stride + shift_y * _SHIFT * anchor - height / 2
    boxes = torch.stack((left, top, left + width, top + height, scores[rows, columns]), dim=1)
    return boxes[boxes.abs().amax(dim=1) < _FAR]


def suppress(boxes: Boxes, overlap_max: float) -> Boxes:
    """Keeps the best box of any that overlap: greedy non-maximum suppression.

    Sides count one pixel more, in the fashion of boxes whose last pixel is inside.

    Args:
        boxes: [n, 5], best first.
        overlap_max: largest allowed share of the intersection in the union.

    Returns:
        [m, 5], best first.
    """
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    kept, left = [], np.arange(len(boxes))
    while left.size:
        best, others = left[0], left[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[others, :2])
        high = np.minimum(boxes[best, 2:4], boxes[others, 2:4])
        shared = np.maximum(high - low + 1, 0).prod(axis=1)
        left = others[shared / (areas[best] + areas[others] - shared) <= overlap_max]
    return boxes[kept]


def _best(boxes: Boxes) -> Boxes:
    """By falling score, ties in NumPy's order of a small array turned round, as upstream has them."""
    return boxes[boxes[:, 4].argsort(kind="stable")[::-1][:CANDIDATES_MAX]]


def _bounded(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = (PIXELS_MAX / (height * width)) ** 0.5
    if scale >= 1:
        return picture
    size = max(SIDE_MIN, int(width * scale)), max(SIDE_MIN, int(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
