"""The 68 points of a face, found as MuseTalk finds them: RTMPose on the whole picture as one person's box.

The steps are those of mmpose 1.1.0's `inference_topdown` with the flip test on: picture -> region of 3:4
about it -> 288x384 -> network, as it is and mirrored -> average -> highest bins -> picture.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avatar_inference.bundle import Picture
from avatar_inference.musetalk.picture import as_batch, check_picture, exact, per_channel
from avatar_inference.musetalk.rtmpose import BINS_A_PIXEL, INPUT_HEIGHT, INPUT_WIDTH, POINTS

Points = NDArray[np.float64]
"""float64 [133, 2] or [68, 2]: x and y in pixels of the picture; they may lie outside it."""

FACE = slice(23, 91)
"""The 68 points of iBUG among the 133 of COCO-WholeBody."""

_MEAN, _DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_PADDING = np.float32(1.25)
_ASPECT = INPUT_WIDTH / INPUT_HEIGHT


class PointFinder:
    """Finds the points of the one person in a picture. Calls from several threads are fine.

    Args:
        module: an `RtmPose` with its weights loaded, float32; taken over.
        device: where to run it.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._module = module.eval().to(device)
        self._device = device
        self._mean, self._deviation = per_channel(_MEAN, device), per_channel(_DEVIATION, device)
        self._mirrored = torch.tensor(mirrored(), device=device)

    def __call__(self, picture: Picture) -> Points:
        """Finds all points.

        Args:
            picture: uint8 RGB [H, W, 3], 1 to 8192 pixels a side.

        Returns:
            float64 [133, 2], pixels. They come in steps of about `max(H, 4/3 W) * 1.25 / 768` pixels. There
            is always an answer: whether anyone is there must be asked elsewhere.

        Raises:
            InvalidInputError: it is no such picture.
        """
        check_picture(picture)
        centre, size = region(picture.shape[1], picture.shape[0])
        cut = cut_out(picture, centre, size)
        return to_picture(self.bins(cut), centre, size)

    def sixty_eight(self, picture: Picture) -> Points:
        """The points of the face alone, float64 [68, 2]: jaw, brows, nose, eyes, mouth, in iBUG's order."""
        return self(picture)[FACE]

    def curves(self, cut: Picture, flip: bool = False) -> tuple[Tensor, Tensor]:
        """The network's curves for a region of 384x288, or those for its mirror image turned back.

        Returns:
            Over x [1, 133, 576] and y [1, 133, 768], on the device.
        """
        with exact(self._device):
            inputs = (as_batch(cut, self._device) - self._mean) / self._deviation
            x, y = self._module(inputs.flip(-1) if flip else inputs)
            return (x[:, self._mirrored].flip(-1), y[:, self._mirrored]) if flip else (x, y)

    def bins(self, cut: Picture) -> NDArray[np.int64]:
        """The highest bins, int64 [133, 2], of the mean of both ways of looking at it (the flip test)."""
        x, y = ((a + b) * 0.5 for a, b in zip(self.curves(cut), self.curves(cut, flip=True), strict=True))
        return highest(x[0], y[0])


def highest(x: Tensor, y: Tensor) -> NDArray[np.int64]:
    """The highest bins of curves [n, bins]: int64 [n, 2], -1 where either curve is nowhere above zero."""
    tops = [curve.max(dim=-1) for curve in (x, y)]
    bins = torch.stack([top.indices for top in tops], dim=-1)
    heights = torch.stack([top.values for top in tops], dim=-1)
    bins[heights.amin(dim=-1) <= 0] = -1
    return bins.cpu().numpy()


def mirrored() -> list[int]:
    """For each of the 133 points the one that takes its place in a mirror (COCO-WholeBody's own table)."""
    swap = list(range(POINTS))
    body = [(left, left + 1) for left in range(1, 17, 2)] + [(foot, foot + 3) for foot in (17, 18, 19)]
    hands = [(left, left + 21) for left in range(91, 112)]
    jaw_and_brows = [(i, 16 - i) for i in range(8)] + [(i, 43 - i) for i in range(17, 22)]
    nose_and_eyes = [(31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    mouth = [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
    face = [(FACE.start + a, FACE.start + b) for a, b in jaw_and_brows + nose_and_eyes + mouth]
    for left, right in body + hands + face:
        swap[left], swap[right] = right, left
    return swap


def region(width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The part of the plane that the network is shown, for a picture of this size.

    The picture's own rectangle, a quarter larger, grown to the aspect of the input. In float32 as mmpose has
    it, so that points agree to the last bit.

    Returns:
        Its centre (x, y) and size (width, height), float32 [2] each, pixels.
    """
    centre = np.array([width, height], np.float32) * np.float32(0.5)
    wide, high = np.array([width, height], np.float32) * _PADDING
    if wide > high * np.float32(_ASPECT):
        high = wide / np.float32(_ASPECT)
    else:
        wide = high * np.float32(_ASPECT)
    return centre, np.array([wide, high], np.float32)


def cut_out(picture: Picture, centre: NDArray[np.float32], size: NDArray[np.float32]) -> Picture:
    """The region, uint8 RGB [384, 288, 3]: bilinear, black outside of the picture.

    Three points carry the affine map, as in mmpose: the centre, half a width above it, and half a width to
    the left of that.
    """
    half = size[0] * np.float32(0.5)
    steps = np.array([(0, 0), (0, -1), (-1, -1)], np.float32)
    inside = np.array([INPUT_WIDTH / 2, INPUT_HEIGHT / 2], np.float32) + steps * np.float32(INPUT_WIDTH / 2)
    matrix = cv2.getAffineTransform(centre + steps * half, inside)
    cut = cv2.warpAffine(picture, matrix, (INPUT_WIDTH, INPUT_HEIGHT), flags=cv2.INTER_LINEAR)
    return np.asarray(cut, np.uint8)


def to_picture(
    bins: NDArray[np.int64], centre: NDArray[np.float32], size: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Bins [n, 2] to pixels of the picture, float64 [n, 2], in mmpose's order of operations."""
    pixels = bins.astype(np.float64) / BINS_A_PIXEL
    half = np.float32(0.5) * size
    scaled: NDArray[np.float64] = pixels / (INPUT_WIDTH, INPUT_HEIGHT) * size + centre - half
    return scaled
