"""What a GPU spends most time on besides convolutions, in fewer passes over memory: norms, biases, sums.

torch's group norm leaves channels-last: it copies its input to the other layout, the next convolution copies
back, and bias and activation pass over the same bytes again. Here a residual block is norm, convolution,
norm, convolution, sum, each passing over its tensor once or twice in the layout of the tensor cores:

- statistics are gathered by channel in one pass (per piece of rows the mean and the sum of squared
  differences, joined by the formula of Chan et al. 1979, so nothing cancels);
- norm, scale and SiLU are one more pass: y = act(x * scale + shift) with one scale and shift a channel;
- the bias of the convolution before a norm moves into that shift, the bias after it into the final sum.
"""

from __future__ import annotations

from typing import cast

import torch
import triton
import triton.language as tl
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from avatar_inference.musetalk.attending import FusedTransformer
from avatar_inference.musetalk.upsampled import FusedUpsample

TILE = 4096
"""Values a program holds: 32 a thread at 4 warps."""
PROGRAMS = 512
"""Enough to fill any GPU of today; where there are more rows, a program takes several tiles of them."""


@triton.jit
def _statistics(
    x, means, squares, rows, channels, PIECE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """Mean and sum of squared differences of each channel in one piece of rows.

    Sums are taken of differences from the piece's first row, so nothing cancels where the mean is far from 0.
    """
    piece, image = tl.program_id(0), tl.program_id(2)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < channels
    first = (image * rows + piece * PIECE) * channels
    origin = tl.load(x + first + column, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    square = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, PIECE, ROWS):
        row = start + tl.arange(0, ROWS)
        at = first + row[:, None] * channels + column[None, :]
        apart = tl.load(x + at, mask=inside[None, :], other=0.0).to(tl.float32) - origin[None, :]
        total += apart
        square += apart * apart
    mean = tl.sum(total, 0) / PIECE
    out = (image * tl.num_programs(0) + piece) * channels + column
    tl.store(means + out, mean + origin, mask=inside)
    tl.store(squares + out, tl.maximum(tl.sum(square, 0) - mean * mean * PIECE, 0.0), mask=inside)


@triton.jit
def _scales(
    means, squares, bias, weight, offset, scale, shift, channels, eps,
    PIECE: tl.constexpr, PIECES: tl.constexpr, GROUP: tl.constexpr, WIDE: tl.constexpr, DEEP: tl.constexpr,
):  # fmt: skip
    """A group's statistics, joined over its channels and pieces, as a scale and a shift a channel.

    `bias` is what the convolution before should have added to x: it moves the means, not the differences.
    """
    image = tl.program_id(1)
    inner = tl.arange(0, WIDE)
    column = tl.program_id(0) * GROUP + inner
    real = inner < GROUP
    added = tl.load(bias + column, mask=real, other=0.0).to(tl.float32)
    total = tl.zeros((WIDE,), tl.float32)
    for start in range(0, PIECES, DEEP):
        piece = start + tl.arange(0, DEEP)
        at = (image * PIECES + piece[:, None]) * channels + column[None, :]
        total += tl.sum(tl.load(means + at, mask=real[None, :], other=0.0), 0)
    mean = tl.sum(tl.where(real, total / PIECES + added, 0.0), 0) / GROUP
    spread = tl.zeros((WIDE,), tl.float32)
    for start in range(0, PIECES, DEEP):
        piece = start + tl.arange(0, DEEP)
        at = (image * PIECES + piece[:, None]) * channels + column[None, :]
        apart = tl.load(means + at, mask=real[None, :], other=0.0) + added[None, :] - mean
        square = tl.load(squares + at, mask=real[None, :], other=0.0) + apart * apart * PIECE
        spread += tl.sum(tl.where(real[None, :], square, 0.0), 0)
    inverse = 1 / tl.sqrt(tl.sum(spread, 0) / (GROUP * PIECES * PIECE) + eps)
    factor = inverse * tl.load(weight + column, mask=real, other=0.0).to(tl.float32)
    term = tl.load(offset + column, mask=real, other=0.0).to(tl.float32) + (added - mean) * factor
    tl.store(scale + image * channels + column, factor, mask=real)
    tl.store(shift + image * channels + column, term, mask=real)


@triton.jit
def _apply(
    x, scale, shift, y, rows, channels, PIECE: tl.constexpr, COLUMNS: tl.constexpr, SILU: tl.constexpr
):
    """y = act(x * scale + shift)."""
    piece, image = tl.program_id(0), tl.program_id(2)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    row = piece * PIECE + tl.arange(0, PIECE)
    inside = column < channels
    at = (image * rows + row[:, None]) * channels + column[None, :]
    values = tl.load(x + at, mask=inside[None, :], other=0.0).to(tl.float32)
    factor = tl.load(scale + image * channels + column, mask=inside, other=0.0)
    term = tl.load(shift + image * channels + column, mask=inside, other=0.0)
    values = values * factor[None, :] + term[None, :]
    if SILU:
        values = values / (1 + tl.exp(-values))
    tl.store(y + at, values.to(y.dtype.element_ty), mask=inside[None, :])


@triton.jit
def _sum(x, bias, residual, count, channels, SIZE: tl.constexpr):
    """x += bias + residual."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    inside = at < count
    values = tl.load(x + at, mask=inside).to(tl.float32) + tl.load(residual + at, mask=inside).to(tl.float32)
    values += tl.load(bias + at % channels, mask=inside).to(tl.float32)
    tl.store(x + at, values.to(x.dtype.element_ty), mask=inside)


def group_norm(x: Tensor, bias: Tensor, norm: nn.GroupNorm, *, silu: bool, in_place: bool = False) -> Tensor:
    """act(norm(x + bias)).

    Args:
        x: [B, C, H, W], channels-last, H * W a power of two, at least 16.
        bias: [C].
        norm: with weight and bias.
        silu: whether SiLU follows.
        in_place: x is not needed any more and may be overwritten.

    Returns:
        Like x.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    batch, channels, rows = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    columns = min(triton.next_power_of_2(channels), 128)
    tile = min(rows, TILE // columns)
    piece = min(rows, tile * max(1, batch * rows * triton.cdiv(channels, columns) // tile // PROGRAMS))
    piece = 1 << (piece.bit_length() - 1)
    pieces, group = rows // piece, channels // norm.num_groups
    means, squares = torch.empty(2, batch, pieces, channels, dtype=torch.float32, device=x.device)
    scale, shift = torch.empty(2, batch, channels, dtype=torch.float32, device=x.device)
    across = triton.cdiv(channels, columns)
    wide = triton.next_power_of_2(group)
    deep = min(pieces, max(1, TILE // wide))
    y = x if in_place else torch.empty_like(x)
    _statistics[(pieces, across, batch)](
        x, means, squares, rows, channels, PIECE=piece, ROWS=tile, COLUMNS=columns
    )
    _scales[(norm.num_groups, batch)](
        means, squares, bias, norm.weight, norm.bias, scale, shift, channels, norm.eps,
        PIECE=piece, PIECES=pieces, GROUP=group, WIDE=wide, DEEP=deep,
    )  # fmt: skip
    _apply[(rows // tile, across, batch)](
        x, scale, shift, y, rows, channels, PIECE=tile, COLUMNS=columns, SILU=silu
    )
    return y


def add(x: Tensor, bias: Tensor, residual: Tensor) -> Tensor:
    """x + bias + residual, written into x: [B, C, H, W] channels-last, [C], like x."""
    x = x.contiguous(memory_format=torch.channels_last)
    residual = residual.contiguous(memory_format=torch.channels_last)
    _sum[(triton.cdiv(x.numel(), TILE),)](x, bias, residual, x.numel(), x.shape[1], SIZE=TILE)
    return x


class FusedResnet(nn.Module):
    """A residual block of UNet or VAE whose time term is folded away.

    Args:
        block: weights loaded; taken over.
    """

    before: Tensor
    after: Tensor

    def __init__(self, block: ResnetBlock2D) -> None:
        super().__init__()
        assert block.time_emb_proj is None
        assert block.output_scale_factor == 1
        self.norm1, self.conv1 = block.norm1, block.conv1
        self.norm2, self.conv2 = block.norm2, block.conv2
        self.shortcut = block.conv_shortcut
        after = block.conv2.bias.data
        if self.shortcut is not None:
            after = after + self.shortcut.bias.data
            self.shortcut.bias = None
        self.register_buffer("before", block.conv1.bias.data)
        self.register_buffer("after", after)
        self.register_buffer("nothing", torch.zeros_like(block.norm1.bias.data))
        self.conv1.bias = self.conv2.bias = None

    def forward(self, hidden: Tensor, temb: Tensor | None = None) -> Tensor:
        """[B, C, H, W] to [B, C', H, W]; `temb` must be None."""
        assert temb is None
        inner = self.conv1(group_norm(hidden, cast("Tensor", self.nothing), self.norm1, silu=True))
        inner = self.conv2(group_norm(inner, self.before, self.norm2, silu=True, in_place=True))
        return add(inner, self.after, hidden if self.shortcut is None else self.shortcut(hidden))


class FusedNorm(nn.Module):
    """A group norm alone, before a transformer block or an output convolution.

    Args:
        norm: taken over.
        silu: whether SiLU follows.
    """

    nothing: Tensor

    def __init__(self, norm: nn.GroupNorm, *, silu: bool = False) -> None:
        super().__init__()
        self.norm, self.silu = norm, silu
        self.register_buffer("nothing", torch.zeros_like(norm.bias.data))

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, C, H, W] to the same."""
        return group_norm(hidden, self.nothing, self.norm, silu=self.silu)


def fuse(module: nn.Module) -> None:
    """Replaces residual blocks, transformers, upsampling and norms on pictures within a module, in place.

    A norm within attention works on [B, C, n] and stays.
    """
    for name, child in module.named_children():
        if isinstance(child, ResnetBlock2D):
            setattr(module, name, FusedResnet(child))
        elif isinstance(child, Transformer2DModel):
            setattr(module, name, FusedTransformer(child, FusedNorm(child.norm)))
        elif isinstance(child, Upsample2D):
            setattr(module, name, FusedUpsample(child))
        elif isinstance(child, nn.GroupNorm):
            setattr(module, name, FusedNorm(child, silu=_takes_silu(module, name)))
        elif not isinstance(child, Attention):
            fuse(child)


def _takes_silu(module: nn.Module, name: str) -> bool:
    """Whether SiLU alone follows a norm, before the last convolution; it is taken away."""
    if name != "conv_norm_out" or not isinstance(module.conv_act, nn.SiLU):
        return False
    module.conv_act = nn.Identity()
    return True
