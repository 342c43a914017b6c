"""UNet, positions, decoder as one, on the CPU, against diffusers' own modules put together as published."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.inference.musetalk.expected import drawing_cases as cases
from tests.inference.musetalk.expected import reading, seeded

from avatar_inference.musetalk.layout import LATENT_SCALE, TINY
from avatar_inference.musetalk.model import MouthModel, Painter, Precision, empty_networks

CPU = torch.device("cpu")


def networks() -> tuple[Any, Any]:
    unet, vae = empty_networks(TINY)
    return (
        reading.filled(unet, seeded.weights, cases.UNET_SEED),
        reading.filled(vae, cases.vae_weights, cases.VAE_SEED),
    )


def model(precision: Precision) -> MouthModel:
    return MouthModel(Painter(*networks(), TINY.width), CPU, precision)


@pytest.fixture(scope="module")
def exact() -> MouthModel:
    return model(Precision.FP32)


@pytest.fixture(scope="module")
def published() -> NDArray[np.int16]:
    """What MuseTalk's own UNet drew, decoded by diffusers' VAE: RGB [BATCH, 256, 256, 3]."""
    drawn = torch.from_numpy(reading.stored("unet")["drawn"])
    with torch.inference_mode():
        image = networks()[1].decode(drawn / LATENT_SCALE).sample
    pixels = (image / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return (pixels * 255).round().astype(np.int16)


def draw(made: MouthModel, frames: slice = slice(None)) -> NDArray[np.int16]:
    latents, tokens = torch.from_numpy(cases.latents(5, 8)), torch.from_numpy(cases.tokens(5))
    crops = made.draw(latents[frames], tokens[frames])
    assert crops.dtype == torch.uint8
    return crops.numpy().astype(np.int16)


def test_crops_are_those_of_the_published_code(exact: MouthModel, published: NDArray[np.int16]) -> None:
    off = np.abs(draw(exact) - published)
    assert published.std() > 15
    assert off.max() <= 1, f"max {off.max()}, {(off > 0).mean():.2g} of the levels differ"


def test_a_frame_alone_is_the_frame_among_four(exact: MouthModel) -> None:
    together = draw(exact)
    for frame in range(cases.BATCH):
        off = np.abs(draw(exact, slice(frame, frame + 1))[0] - together[frame])
        assert off.max() <= 1, f"frame {frame}: max {off.max()}"


# Through UNet and decoder: more than the decoder's own 3 levels, which are of exact latents.
@pytest.mark.parametrize(("precision", "most", "mean"), [(Precision.FP16, 6, 0.3), (Precision.BF16, 40, 2.5)])
def test_half_precision(precision: Precision, most: int, mean: float, published: NDArray[np.int16]) -> None:
    made = model(precision)
    drawn = draw(made, slice(0, 2))
    off = np.abs(drawn - published[:2])
    assert off.max() <= most, f"max {off.max()}, mean {off.mean():.2g}"
    assert off.mean() <= mean, f"max {off.max()}, mean {off.mean():.2g}"
    apart = np.abs(draw(made, slice(0, 1)) - drawn[:1])
    assert apart.max() <= most, f"batch of 1 against 2: max {apart.max()}"


def test_drawing_leaves_what_it_is_given(exact: MouthModel) -> None:
    latents, tokens = torch.from_numpy(cases.latents(5, 8)), torch.from_numpy(cases.tokens(5))
    first = exact.draw(latents, tokens)
    assert np.array_equal(latents, cases.latents(5, 8))
    assert np.array_equal(tokens, cases.tokens(5))
    assert torch.equal(first, exact.draw(latents, tokens))


def test_warming_up_needs_no_gpu(exact: MouthModel) -> None:
    exact.warm_up((1, 2))
