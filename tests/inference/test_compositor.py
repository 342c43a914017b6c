from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_inference.bundle import Box
from avatar_inference.compositor import paste, stretch_bicubic


def random_bytes(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    place=st.tuples(st.integers(0, 40), st.integers(0, 30)),
    density=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
)
def test_every_value_is_the_rounded_blend(seed: int, place: tuple[int, int], density: float) -> None:
    picture, crop, mask = (
        random_bytes(seed, 80, 90, 3),
        random_bytes(seed + 1, 48, 48, 3),
        random_bytes(seed, 48, 48),
    )
    mask[np.random.default_rng(seed).random(mask.shape) > density] = 0
    x, y = place
    before = picture.copy()
    got = paste(picture, crop, Box(x, y, 48, 48), mask)
    want = picture.astype(np.int64)
    under, weight = want[y : y + 48, x : x + 48], mask[..., None].astype(np.int64)
    want[y : y + 48, x : x + 48] = np.rint((crop * weight + under * (255 - weight)) / 255)
    assert np.array_equal(got, want)
    assert np.array_equal(picture, before)
    assert got.dtype == np.uint8


def test_all_weights_and_values_round_exactly() -> None:
    face, under = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    box = Box(0, 0, 256, 256)
    for weight in range(256):
        mask = np.full((256, 256), weight, np.uint8)
        got = paste(np.dstack([under] * 3), np.dstack([face] * 3), box, mask)[..., 0]
        value = face.astype(np.int64) * weight + under.astype(np.int64) * (255 - weight)
        assert np.array_equal(got, (2 * value + 255) // 510)


def test_full_and_empty_masks() -> None:
    picture, crop, box = random_bytes(1, 300, 300, 3), random_bytes(2, 256, 256, 3), Box(20, 30, 256, 256)
    full = paste(picture, crop, box, np.full((256, 256), 255, np.uint8))
    assert np.array_equal(full[30:286, 20:276], crop)
    assert np.array_equal(paste(picture, crop, box, np.zeros((256, 256), np.uint8)), picture)


@pytest.mark.parametrize(("width", "height"), [(100, 120), (300, 280), (30, 20), (256, 200)])
def test_the_crop_is_stretched_to_the_box(width: int, height: int) -> None:
    ramp = np.tile(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], (256, 1, 3))
    picture = random_bytes(3, 320, 340, 3)
    box = Box(7, 9, width, height)
    got = paste(picture, stretch_bicubic(ramp, width, height), box, np.full((height, width), 255, np.uint8))
    row = got[9 + height // 2, 7 : 7 + width, 0].astype(float)
    expected = (np.arange(width) + 0.5) / width * 256 - 0.5
    assert np.abs(row - expected)[width // 10 : width - width // 10].max() <= 2
    outside = got.copy()
    outside[9 : 9 + height, 7 : 7 + width] = picture[9 : 9 + height, 7 : 7 + width]
    assert np.array_equal(outside, picture)


def test_shared_pictures_may_be_read_only() -> None:
    picture = random_bytes(1, 300, 300, 3)
    picture.setflags(write=False)
    got = paste(picture, random_bytes(2, 256, 256, 3), Box(0, 0, 256, 256), random_bytes(3, 256, 256))
    assert got.flags.writeable
