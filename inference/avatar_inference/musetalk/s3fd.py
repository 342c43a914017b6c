"""S3FD: for each place of six grids, how likely a face of that grid's size is there and how to fit its box.

"S3FD: Single Shot Scale-invariant Face Detector" (arXiv:1708.05237): VGG-16's convolutions and six more.
Names are those of the face-alignment project's checkpoint: it loads strictly.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE_MIN = 32
"""Below this many pixels nothing is left after five halvings."""

_STAGES = (2, 2, 3, 3, 3)
"""Convolutions of VGG-16 between two halvings."""


class Grid(NamedTuple):
    """What one of the six grids says: place (i, j) stands for pixel ((j + 1/2) stride, (i + 1/2) stride).

    Attributes:
        scores: [B, 2, h, w], logits of no face and of a face.
        boxes: [B, 4, h, w], shift of the centre (x, y) and growth of the sides, as `faces` reads them.
    """

    scores: Tensor
    boxes: Tensor


class S3fd(nn.Module):
    """The network.

    Args:
        width: channels of the first stage; 64 is S3FD. The others are multiples of it.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        inputs = 3
        for stage, convolutions in enumerate(_STAGES, start=1):
            outputs = width * min(8, 1 << (stage - 1))
            for number in range(1, convolutions + 1):
                self.add_module(f"conv{stage}_{number}", nn.Conv2d(inputs, outputs, 3, padding=1))
                inputs = outputs
        self.fc6 = nn.Conv2d(8 * width, 16 * width, 3, padding=3)
        self.fc7 = nn.Conv2d(16 * width, 16 * width, 1)
        self.conv6_1 = nn.Conv2d(16 * width, 4 * width, 1)
        self.conv6_2 = nn.Conv2d(4 * width, 8 * width, 3, stride=2, padding=1)
        self.conv7_1 = nn.Conv2d(8 * width, 2 * width, 1)
        self.conv7_2 = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)
        for name, channels in (("conv3_3", 4), ("conv4_3", 8), ("conv5_3", 8)):
            self.add_module(f"{name}_norm", _ScaledUnit(channels * width))
        sources = {"conv3_3_norm": 4, "conv4_3_norm": 8, "conv5_3_norm": 8}
        sources |= {"fc7": 16, "conv6_2": 8, "conv7_2": 4}
        for name, channels in sources.items():
            logits = 4 if name == "conv3_3_norm" else 2
            self.add_module(f"{name}_mbox_conf", nn.Conv2d(channels * width, logits, 3, padding=1))
            self.add_module(f"{name}_mbox_loc", nn.Conv2d(channels * width, 4, 3, padding=1))

    def forward(self, pictures: Tensor) -> list[Grid]:
        """One pass.

        Args:
            pictures: float32 [B, 3, H, W], H and W at least 32, less the means of `faces`.

        Returns:
            Six grids with strides 4, 8, 16, 32, 64, 128; a place's face is four strides wide.
        """
        grids = []
        x = pictures
        for stage, convolutions in enumerate(_STAGES, start=1):
            for number in range(1, convolutions + 1):
                x = self._convolve(f"conv{stage}_{number}", x)
            if stage >= 3:
                name = f"conv{stage}_3_norm"
                grids.append(self._grid(name, self.get_submodule(name)(x)))
            x = functional.max_pool2d(x, 2, 2)
        for names in (("fc6", "fc7"), ("conv6_1", "conv6_2"), ("conv7_1", "conv7_2")):
            for name in names:
                x = self._convolve(name, x)
            grids.append(self._grid(names[-1], x))
        return grids

    def _convolve(self, name: str, x: Tensor) -> Tensor:
        # In place: the first stage's maps are the largest thing in memory.
        return functional.relu_(self.get_submodule(name)(x))

    def _grid(self, name: str, x: Tensor) -> Grid:
        scores = self.get_submodule(f"{name}_mbox_conf")(x)
        # The finest grid has three logits for no face, of which the largest counts.
        nothing, face = scores[:, :-1], scores[:, -1:]
        scores = torch.cat((nothing.amax(dim=1, keepdim=True), face), dim=1)
        return Grid(scores, self.get_submodule(f"{name}_mbox_loc")(x))


class _ScaledUnit(nn.Module):
    """Brings the vector of channels at each place to length one, then scales each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        length = x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10
        return x / length * self.weight[:, None, None]
