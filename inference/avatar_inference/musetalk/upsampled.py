"""Nearest-neighbour upsampling by two and the 3x3 convolution after it, as four small convolutions.

Of the nine upsampled pixels under the kernel at most four differ, so each of the four pixels that come of one
is a 2x2 convolution of what was there before, with weights summed beforehand: 4/9 of the products, and the
upsampled picture never exists. (Shi et al. 2016 call the same a sub-pixel convolution.)
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

TILE = 2048


@triton.jit
def _woven(
    one, two, three, four, bias, y, pixels, height, width, channels,
    PIXELS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """y[2i + a, 2j + b] = part[a, b][i + a, j + b] + bias; parts have a row and a column too many."""
    pixel = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (pixel < pixels)[:, None] & (column < channels)[None, :]
    added = tl.load(bias + column, mask=column < channels, other=0.0).to(tl.float32)
    row, side = pixel // width, pixel % width  # rows of all pictures follow each other
    source = (row + row // height) * (width + 1) + side
    corner = row * 4 * width + side * 2
    for down in tl.static_range(2):
        for right in tl.static_range(2):
            upper, lower = (one, three) if right == 0 else (two, four)
            part = upper if down == 0 else lower
            at = (source + down * (width + 1) + right)[:, None] * channels + column[None, :]
            values = tl.load(part + at, mask=inside, other=0.0).to(tl.float32) + added[None, :]
            to = (corner + down * 2 * width + right)[:, None] * channels + column[None, :]
            tl.store(y + to, values.to(y.dtype.element_ty), mask=inside)


def woven(parts: list[Tensor], bias: Tensor) -> Tensor:
    """Four pictures [B, C, H + 1, W + 1] channels-last and [C] to [B, C, 2H, 2W] channels-last."""
    batch, channels, height, width = parts[0].shape
    height, width = height - 1, width - 1
    size = (batch, channels, 2 * height, 2 * width)
    y = torch.empty(size, dtype=bias.dtype, device=bias.device, memory_format=torch.channels_last)
    columns = min(triton.next_power_of_2(channels), 128)
    pixels = TILE // columns
    grid = (triton.cdiv(batch * height * width, pixels), triton.cdiv(channels, columns))
    _woven[grid](
        *parts, bias, y, batch * height * width, height, width, channels, PIXELS=pixels, COLUMNS=columns
    )
    return y


class FusedUpsample(nn.Module):
    """Upsampling and convolution.

    Args:
        block: weights loaded, float32 (sums are rounded once); taken over.
    """

    bias: Tensor

    def __init__(self, block: Upsample2D) -> None:
        super().__init__()
        conv = block.conv
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        assert block.norm is None
        for number, weight in enumerate(parts_of(conv.weight.data)):
            self.register_buffer(f"part{number}", weight)
        self.register_buffer("bias", conv.bias.data)

    def forward(self, hidden: Tensor, output_size: None = None) -> Tensor:
        """[B, C, H, W] to [B, C', 2H, 2W]."""
        assert output_size is None
        weights = [self.get_buffer(f"part{number}") for number in range(4)]
        return woven([nn.functional.conv2d(hidden, each, padding=1) for each in weights], self.bias)


def parts_of(weight: Tensor) -> list[Tensor]:
    """[C', C, 3, 3] to four of [C', C, 2, 2]: for the upper left pixel, upper right, lower left, lower right.

    In one direction, the first of two pixels sees the one before once and its own twice, the second its own
    twice and the one after once.
    """
    rows = [_pairs(weight, first, dim=2) for first in (True, False)]
    return [
        _pairs(row, first, dim=3).contiguous(memory_format=torch.channels_last)
        for row in rows
        for first in (True, False)
    ]


def _pairs(weight: Tensor, first: bool, dim: int) -> Tensor:
    before, own, after = weight.unbind(dim)
    return torch.stack([before, own + after] if first else [before + own, after], dim)
