"""The UNet against MuseTalk's own with the same weights (see expected/make_unet.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from tests.inference.musetalk.expected import drawing_cases as cases
from tests.inference.musetalk.expected import reading, seeded
from torch import Tensor

from avatar_inference.musetalk.audio import positions
from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.model import empty_networks
from avatar_inference.musetalk.unet import OneStepUNet

Expected = dict[str, NDArray[Any]]


def weighted() -> UNet2DConditionModel:
    return reading.filled(empty_networks(TINY)[0], seeded.weights, cases.UNET_SEED)


@pytest.fixture(scope="module")
def expected() -> Expected:
    return reading.stored("unet")


@pytest.fixture(scope="module")
def unet() -> OneStepUNet:
    return OneStepUNet(weighted()).eval()


@pytest.fixture(scope="module")
def given() -> tuple[Tensor, Tensor]:
    """Latents and tokens with their positions."""
    tokens = torch.from_numpy(cases.tokens(5)) + positions(50, TINY.width)
    return torch.from_numpy(cases.latents(5, 8)), tokens


def test_names_and_shapes_are_the_checkpoints(expected: Expected) -> None:
    found = seeded.listing(reading.shapes(empty_networks(TINY)[0]))
    assert sorted(found) == sorted(expected["names"])


@torch.inference_mode()
def test_latents_equal_upstreams(unet: OneStepUNet, given: tuple[Tensor, Tensor], expected: Expected) -> None:
    off = reading.relative(unet(*given).numpy(), expected["drawn"])
    assert off <= 1e-5, f"rel-L2 {off:.2g}"


@torch.inference_mode()
def test_frames_of_a_batch_do_not_see_each_other(unet: OneStepUNet, given: tuple[Tensor, Tensor]) -> None:
    together = unet(*given)
    alone = torch.cat([unet(*(each[i : i + 1] for each in given)) for i in range(cases.BATCH)])
    off = reading.relative(together.numpy(), alone.numpy())
    assert off <= 1e-5, f"rel-L2 {off:.2g}"


@torch.inference_mode()
def test_the_time_that_was_folded_away_counted(given: tuple[Tensor, Tensor]) -> None:
    """Its part is large with these weights, and diffusers' own way with it gives the same."""
    whole = weighted()
    zero, thousandth = (whole(given[0], torch.tensor([t]), given[1]).sample for t in (0, 999))
    assert reading.relative(zero.numpy(), thousandth.numpy()) > 0.05
    off = reading.relative(OneStepUNet(whole)(*given).numpy(), zero.numpy())
    assert off <= 1e-5, f"rel-L2 {off:.2g}"


# The sheet of tolerances is of fp16; bfloat16 has 3 bits less.
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
@torch.inference_mode()
def test_half_precision(
    dtype: torch.dtype, bound: float, given: tuple[Tensor, Tensor], expected: Expected
) -> None:
    half = OneStepUNet(weighted()).eval().to(dtype)
    found = half(*(each.to(dtype) for each in given)).float().numpy()
    off = reading.relative(found, expected["drawn"])
    assert off <= bound, f"rel-L2 {off:.2g}"
    alone = half(*(each[:1].to(dtype) for each in given)).float().numpy()
    apart = reading.relative(alone, found[:1])
    assert apart <= bound, f"batch of 1 against {cases.BATCH}: rel-L2 {apart:.2g}"


@torch.inference_mode()
def test_sound_decides(unet: OneStepUNet, given: tuple[Tensor, Tensor]) -> None:
    latents, tokens = given
    assert reading.relative(unet(latents, tokens.roll(1, 0)).numpy(), unet(latents, tokens).numpy()) > 0.01


def test_expectations_are_small(expected: Expected) -> None:
    assert np.isfinite(expected["drawn"]).all()
    assert 0.1 < expected["drawn"].std() < 10
