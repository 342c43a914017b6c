"""What is fused on a GPU says the same as diffusers' own layers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from diffusers.models.activations import GEGLU
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

pytest.importorskip("triton")

from avatar_inference.musetalk.attending import FusedGate, FusedTransformer
from avatar_inference.musetalk.fused import FusedNorm
from avatar_inference.musetalk.upsampled import FusedUpsample, parts_of

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="NO GPU: kernels are not compared")


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """In float32 throughout, not in TF32."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def picture(*shape: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(shape, device="cuda").to(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8)])
def test_four_small_convolutions_are_one_of_an_upsampled_picture(size: tuple[int, int]) -> None:
    """In whole numbers, so to the bit; woven here as the kernel does."""
    torch.manual_seed(0)
    height, width = size
    weight = torch.randint(-9, 9, (4, 3, 3, 3)).double()
    small = torch.randint(-9, 9, (2, 3, height, width)).double()
    large = nn.functional.interpolate(small, scale_factor=2.0, mode="nearest")
    expected = nn.functional.conv2d(large, weight, padding=1)
    found = torch.empty_like(expected)
    for number, part in enumerate(parts_of(weight)):
        down, right = divmod(number, 2)
        drawn = nn.functional.conv2d(small, part, padding=1)
        found[:, :, down::2, right::2] = drawn[:, :, down : down + height, right : right + width]
    assert torch.equal(found, expected)


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("channels", [32, 320])
@pytest.mark.parametrize("size", [(8, 8), (32, 32), (6, 10)])
def test_upsampling(channels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block = Upsample2D(channels, use_conv=True).cuda()
    hidden = picture(3, channels, *size)
    expected = block(hidden)
    found = FusedUpsample(block)(hidden)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@GPU
def test_a_gate() -> None:
    torch.manual_seed(0)
    layer = GEGLU(64, 200).cuda()
    tokens = torch.randn(3, 77, 64, device="cuda")
    torch.testing.assert_close(FusedGate(layer)(tokens), layer(tokens), rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@GPU
def test_a_transformer() -> None:
    torch.manual_seed(0)
    block = Transformer2DModel(4, 16, in_channels=64, num_layers=2, cross_attention_dim=48).cuda()
    hidden, heard = picture(2, 64, 16, 16), torch.randn(2, 50, 48, device="cuda")
    (expected,) = block(hidden, encoder_hidden_states=heard, return_dict=False)
    (found,) = FusedTransformer(block, FusedNorm(block.norm))(hidden, heard)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
