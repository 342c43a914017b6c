"""RTMPose-L: one picture of a person in, for each of 133 points two curves that peak where it lies.

CSPNeXt (the backbone of RTMDet, arXiv:2212.07784) makes a map of features; RTMPose (arXiv:2303.07399) turns
it into a token a point, lets the tokens attend to each other, and classifies each token's x and y into bins
of half a pixel. Sizes are those of DWPose's `dw-ll_ucoco_384`; names are the checkpoint's: it loads strictly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

INPUT_WIDTH, INPUT_HEIGHT = 288, 384
BINS_A_PIXEL = 2
POINTS = 133
"""COCO-WholeBody: 17 body, 6 feet, 68 face, 21 left hand, 21 right hand."""

_STRIDE = 32
_BLOCKS = (3, 6, 6, 3)
_POOLS = (5, 9, 13)


class RtmPose(nn.Module):
    """The network.

    Args:
        width: channels after the stem; 64 is RTMPose-L. The stages have 2, 4, 8 and 16 times as many.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.backbone = _CspNext(width)
        self.head = _Head(width)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """One pass.

        Args:
            pictures: float32 RGB [B, 3, 384, 288], ImageNet's mean taken off, divided by its deviation.

        Returns:
            Curves over x, [B, 133, 576], and over y, [B, 133, 768]: two bins a pixel, higher is likelier.
        """
        curves: tuple[Tensor, Tensor] = self.head(self.backbone(pictures))
        return curves


class _Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.bn(self.conv(x)))


class _Separable(nn.Module):
    """A 5x5 convolution of each channel by itself, then one across channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = _Conv(channels, channels, 5, groups=channels)
        self.pointwise_conv = _Conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return y


class _Block(nn.Module):
    def __init__(self, channels: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = _Conv(channels, channels, 3)
        self.conv2 = _Separable(channels)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return y + x if self.residual else y


class _ChannelAttention(nn.Module):
    """Scales each channel by what all channels' means say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * functional.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class _Csp(nn.Module):
    """Cross stage partial: half of the channels go through the blocks, half pass them by."""

    def __init__(self, channels: int, blocks: int, residual: bool) -> None:
        super().__init__()
        half = channels // 2
        self.main_conv = _Conv(channels, half, 1)
        self.short_conv = _Conv(channels, half, 1)
        self.blocks = nn.Sequential(*(_Block(half, residual) for _ in range(blocks)))
        self.attention = _ChannelAttention(channels)
        self.final_conv = _Conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat((self.blocks(self.main_conv(x)), self.short_conv(x)), dim=1)
        y: Tensor = self.final_conv(self.attention(both))
        return y


class _SpatialPyramid(nn.Module):
    """Maxima over ever larger neighbourhoods, side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = _Conv(channels, half, 1)
        self.conv2 = _Conv(half * (1 + len(_POOLS)), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        pooled = (functional.max_pool2d(x, size, 1, size // 2) for size in _POOLS)
        y: Tensor = self.conv2(torch.cat((x, *pooled), dim=1))
        return y


class _CspNext(nn.Module):
    """[B, 3, H, W] to [B, 16 * width, H / 32, W / 32]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(_Conv(3, half, 3, stride=2), _Conv(half, half, 3), _Conv(half, width, 3))
        for stage, blocks in enumerate(_BLOCKS, start=1):
            channels, last = width << stage, stage == len(_BLOCKS)
            layers: list[nn.Module] = [_Conv(channels // 2, channels, 3, stride=2)]
            if last:
                layers.append(_SpatialPyramid(channels))
            layers.append(_Csp(channels, blocks, residual=not last))
            self.add_module(f"stage{stage}", nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.children():
            x = stage(x)
        return x


class _ScaleNorm(nn.Module):
    """Divides a vector by its root mean square and multiplies it by one learned number (arXiv:1910.05895)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1))
        self.scale = width**-0.5

    def forward(self, x: Tensor) -> Tensor:
        size: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        return x / size.clamp(min=1e-5) * self.g


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class _GatedAttention(nn.Module):
    """A gated attention unit (arXiv:2202.10447): one head, the square of a ReLU in place of softmax."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.key = 2 * width, width // 2
        self.ln = _ScaleNorm(width)
        self.uv = nn.Linear(width, 2 * self.inner + self.key, bias=False)
        self.gamma = nn.Parameter(torch.ones(2, self.key))
        self.beta = nn.Parameter(torch.zeros(2, self.key))
        self.o = nn.Linear(self.inner, width, bias=False)
        self.res_scale = _Scale(width)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = functional.silu(self.uv(self.ln(tokens)))
        gate, value, base = torch.split(parts, [self.inner, self.inner, self.key], dim=-1)
        query, key = (base[..., None, :] * self.gamma + self.beta).unbind(dim=-2)
        weights = functional.relu(query @ key.transpose(-1, -2) / self.key**0.5).square()
        heard: Tensor = self.o(gate * (weights @ value))
        kept: Tensor = self.res_scale(tokens)
        return kept + heard


class _Head(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        places = (INPUT_WIDTH // _STRIDE) * (INPUT_HEIGHT // _STRIDE)
        token = 4 * width
        self.final_layer = nn.Conv2d(16 * width, POINTS, 7, padding=3)
        self.mlp = nn.Sequential(_ScaleNorm(places), nn.Linear(places, token, bias=False))
        self.gau = _GatedAttention(token)
        self.cls_x = nn.Linear(token, INPUT_WIDTH * BINS_A_PIXEL, bias=False)
        self.cls_y = nn.Linear(token, INPUT_HEIGHT * BINS_A_PIXEL, bias=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.gau(self.mlp(self.final_layer(features).flatten(2)))
        return self.cls_x(tokens), self.cls_y(tokens)
