"""BiSeNet: which of 19 parts of a head each pixel belongs to.

"BiSeNet: Bilateral Segmentation Network" (arXiv:1808.00897) as the face-parsing.PyTorch project trained it:
on ResNet-18 (arXiv:1512.03385), with its features at an eighth in place of a spatial path. Names are those of
its checkpoint `79999_iter`: it loads strictly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

PARTS = 19
"""0 background, 1 skin, 2-3 brows, 4-5 eyes, 6 glasses, 7-8 ears, 9 earring, 10 nose, 11 mouth, 12-13 lips,
14 neck, 15 necklace, 16 cloth, 17 hair, 18 hat (CelebAMask-HQ)."""


class BiSeNet(nn.Module):
    """The network.

    Args:
        width: channels of ResNet's first stage; 64 is ResNet-18. The others are multiples of it.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.cp = _ContextPath(width)
        self.ffm = _Fusion(4 * width)
        self.conv_out = _Output(4 * width, 4 * width)
        # Trained beside the main output and of no use afterwards; the checkpoint has them.
        self.conv_out16 = _Output(2 * width, width)
        self.conv_out32 = _Output(2 * width, width)

    def forward(self, pictures: Tensor) -> Tensor:
        """One pass.

        Args:
            pictures: float32 RGB [B, 3, H, W], 0 to 1, then ImageNet's mean taken off and divided by its
                deviation; H and W multiples of 32.

        Returns:
            Logits [B, 19, H, W].
        """
        fine, coarse = self.cp(pictures)
        logits = self.conv_out(self.ffm(torch.cat((fine, coarse), dim=1)))
        return functional.interpolate(logits, pictures.shape[2:], mode="bilinear", align_corners=True)


class _Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


class _Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1:
            shrink = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shrink, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(shortcut + y)


class _ResNet18(nn.Module):
    """[B, 3, H, W] to features at an eighth, a sixteenth and a 32nd: 2, 4 and 8 times `width` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(_Residual(width, width, 1), _Residual(width, width, 1))
        for layer in (2, 3, 4):
            channels = width << (layer - 1)
            blocks = (_Residual(channels // 2, channels, 2), _Residual(channels, channels, 1))
            self.add_module(f"layer{layer}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer1(x)
        features = []
        for layer in (2, 3, 4):
            x = self.get_submodule(f"layer{layer}")(x)
            features.append(x)
        return features


class _Refinement(nn.Module):
    """A convolution whose channels are scaled by what their means say."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _Conv(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(_mean(x))))


class _ContextPath(nn.Module):
    """[B, 3, H, W] to ResNet's features at an eighth and, as large, what the coarser ones say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resnet = _ResNet18(width)
        self.arm16 = _Refinement(4 * width, 2 * width)
        self.arm32 = _Refinement(8 * width, 2 * width)
        self.conv_head32 = _Conv(2 * width, 2 * width)
        self.conv_head16 = _Conv(2 * width, 2 * width)
        self.conv_avg = _Conv(8 * width, 2 * width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        at8, at16, at32 = self.resnet(x)
        whole = self.conv_avg(_mean(at32))
        coarse = self.conv_head32(_twice(self.arm32(at32) + whole))
        return at8, self.conv_head16(_twice(self.arm16(at16) + coarse))


class _Fusion(nn.Module):
    """Mixes fine and coarse features, then lifts the channels whose means say so."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = _Conv(channels, channels, 1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convblk(x)
        return x + x * torch.sigmoid(self.conv2(functional.relu(self.conv1(_mean(x)))))


class _Output(nn.Module):
    def __init__(self, inputs: int, between: int) -> None:
        super().__init__()
        self.conv = _Conv(inputs, between)
        self.conv_out = nn.Conv2d(between, PARTS, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.conv_out(self.conv(x))
        return logits


def _mean(x: Tensor) -> Tensor:
    # Pooled, not `mean`: it sums in another order, and labels at a border are decided by the last bits.
    return functional.avg_pool2d(x, (x.shape[2], x.shape[3]))


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
