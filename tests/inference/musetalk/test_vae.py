"""Crops to latents and back against MuseTalk's own VAE with the same weights (see expected/make_vae.py)."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from tests.inference.musetalk.expected import drawing_cases as cases
from tests.inference.musetalk.expected import reading, seeded
from torch import Tensor

from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.model import empty_networks
from avatar_inference.musetalk.vae import CropDecoder, CropEncoder, masked, normalize

Expected = dict[str, NDArray[Any]]


def weighted() -> AutoencoderKL:
    return reading.filled(empty_networks(TINY)[1], cases.vae_weights, cases.VAE_SEED)


@pytest.fixture(scope="module")
def expected() -> Expected:
    return reading.stored("vae")


@pytest.fixture(scope="module")
def encoder() -> CropEncoder:
    return CropEncoder(weighted()).eval()


@pytest.fixture(scope="module")
def decoder() -> CropDecoder:
    return CropDecoder(weighted()).eval()


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return torch.from_numpy(cases.latents(6, 4))


def test_names_and_shapes_are_the_checkpoints(expected: Expected) -> None:
    found = seeded.listing(reading.shapes(empty_networks(TINY)[1]))
    assert sorted(found) == sorted(expected["names"])


def test_pixels_equal_upstreams_to_the_bit(expected: Expected) -> None:
    whole = normalize(torch.from_numpy(cases.crop())[None])
    for name, pixels in (("whole", whole), ("masked", masked(whole))):
        assert np.array_equal(pixels[0, :, 60:201:140], expected[f"{name}_rows"]), name
        digest = hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest()
        assert digest == str(expected[f"{name}_sha256"]), name
    assert (masked(whole)[:, :, 128:] == -1).all()
    assert torch.equal(masked(whole)[:, :, :128], whole[:, :, :128])


def test_latents_equal_upstreams(encoder: CropEncoder, expected: Expected) -> None:
    found = encoder(torch.from_numpy(cases.crop())[None]).numpy()
    for half in (slice(0, 4), slice(4, 8)):
        off = reading.relative(found[:, half], expected["latents"][:, half])
        assert off <= 1e-5, f"rel-L2 {off:.2g}"


def test_crops_of_a_batch_do_not_see_each_other(encoder: CropEncoder, expected: Expected) -> None:
    one = torch.from_numpy(cases.crop())
    other = torch.from_numpy(seeded.picture(8, 256, 256))
    off = reading.relative(encoder(torch.stack([other, one]))[1:].numpy(), expected["latents"])
    assert off <= 1e-5, f"rel-L2 {off:.2g}"


# In bfloat16 nobody encodes: the encoder stays in float32, whatever draws.
def test_latents_in_half_precision(expected: Expected) -> None:
    half = CropEncoder(weighted()).eval().half()
    off = reading.relative(half(torch.from_numpy(cases.crop())[None]).float().numpy(), expected["latents"])
    assert off <= 5e-3, f"rel-L2 {off:.2g}"


def off_by(found: Tensor, expected: Expected) -> NDArray[np.int16]:
    """Levels by which RGB crops differ from upstream's BGR ones."""
    some = found.numpy()[:, 1::6, 1::6, ::-1].astype(np.int16)
    return np.abs(some - expected["decoded_bgr"].astype(np.int16))


@torch.inference_mode()
def test_crops_equal_upstreams(decoder: CropDecoder, latents: Tensor, expected: Expected) -> None:
    found = decoder(latents)
    assert (found.shape, found.dtype) == ((cases.BATCH, 256, 256, 3), torch.uint8)
    off = off_by(found, expected)
    assert off.max() <= 1, f"max {off.max()}, mean {off.mean():.2g}"
    assert (off > 0).mean() < 0.001, f"{(off > 0).mean():.2g} of the levels differ"


@torch.inference_mode()
def test_frames_of_a_batch_do_not_see_each_other(decoder: CropDecoder, latents: Tensor) -> None:
    together = decoder(latents).short()
    alone = torch.cat([decoder(latents[i : i + 1]) for i in range(cases.BATCH)]).short()
    assert (together - alone).abs().max() <= 1


@pytest.mark.parametrize(("dtype", "most", "mean"), [(torch.float16, 3, 0.1), (torch.bfloat16, 24, 0.8)])
@torch.inference_mode()
def test_crops_in_half_precision(
    dtype: torch.dtype, most: int, mean: float, latents: Tensor, expected: Expected
) -> None:
    half = CropDecoder(weighted()).eval().to(dtype)
    off = off_by(half(latents.to(dtype)), expected)
    assert off.max() <= most, f"max {off.max()}, mean {off.mean():.2g}"
    assert off.mean() <= mean, f"max {off.max()}, mean {off.mean():.2g}"


def test_expectations_are_not_saturated(expected: Expected) -> None:
    """Where every pixel is black or white nothing could differ."""
    levels = expected["decoded_bgr"]
    assert np.isin(levels, (0, 255)).mean() < 0.01
    assert 15 < levels.std() < 70
