"""A transformer block of the UNet on pictures whose channels come last: no copies, one pass for the gate.

diffusers' goes from channels-last to tokens and back through the other layout, twice copied, and has 1x1
convolutions whose bias is a pass of its own. Tokens are the very bytes of a channels-last picture, so here
the convolutions are linear layers, which add their bias on the way.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from diffusers.models.activations import GEGLU
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn

TILE = 1024


@triton.jit
def _gated(x, y, count, width, SIZE: tl.constexpr):
    """y = x[:, :width] * gelu(x[:, width:]), with the exact gelu."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    inside = at < count
    source = (at // width) * 2 * width + at % width
    value = tl.load(x + source, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(x + source + width, mask=inside, other=0.0).to(tl.float32)
    gate = 0.5 * gate * (1 + tl.math.erf(gate * 0.7071067811865476))
    tl.store(y + at, (value * gate).to(y.dtype.element_ty), mask=inside)


def gated(x: Tensor) -> Tensor:
    """[..., 2 N] to [..., N]: the first half times gelu of the second."""
    x = x.contiguous()
    y = torch.empty((*x.shape[:-1], x.shape[-1] // 2), dtype=x.dtype, device=x.device)
    _gated[(triton.cdiv(y.numel(), TILE),)](x, y, y.numel(), y.shape[-1], SIZE=TILE)
    return y


class FusedGate(nn.Module):
    """The first layer of a feed-forward network.

    Args:
        layer: weights loaded; taken over.
    """

    def __init__(self, layer: GEGLU) -> None:
        super().__init__()
        self.proj = layer.proj

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, C] to [B, N, C']."""
        return gated(self.proj(tokens))


class FusedTransformer(nn.Module):
    """Norm, transformer blocks and residual of a picture.

    Args:
        block: weights loaded; taken over.
        norm: its norm, fused.
    """

    def __init__(self, block: Transformer2DModel, norm: nn.Module) -> None:
        super().__init__()
        assert block.is_input_continuous
        self.norm = norm
        self.enter, self.leave = _linear(block.proj_in), _linear(block.proj_out)
        self.blocks = block.transformer_blocks
        for each in self.blocks:
            if isinstance(each.ff.net[0], GEGLU):
                each.ff.net[0] = FusedGate(each.ff.net[0])

    def forward(self, hidden: Tensor, encoder_hidden_states: Tensor, **_: Any) -> tuple[Tensor]:
        """[B, C, H, W] channels-last and the tokens that are heard, to the like of the first."""
        batch, channels, height, width = hidden.shape
        tokens = self.enter(self.norm(hidden).permute(0, 2, 3, 1).reshape(batch, height * width, channels))
        for block in self.blocks:
            tokens = block(tokens, encoder_hidden_states=encoder_hidden_states)
        pictures = self.leave(tokens).view(batch, height, width, channels).permute(0, 3, 1, 2)
        return (pictures + hidden,)


def _linear(layer: nn.Module) -> nn.Linear:
    """A 1x1 convolution as the same linear layer; a linear layer as it is."""
    if isinstance(layer, nn.Linear):
        return layer
    assert isinstance(layer, nn.Conv2d)
    assert layer.kernel_size == (1, 1)
    made = nn.Linear(layer.in_channels, layer.out_channels, device=layer.weight.device)
    made.weight.data = layer.weight.data[:, :, 0, 0].contiguous()
    assert layer.bias is not None
    made.bias.data = layer.bias.data
    return made
