from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_core.media.lip_sound import LipResampler
from avatar_core.media.resample import Resampler

RATES = [8000, 11025, 16000, 22050, 24000, 44100, 47999, 48000]


def whole(rate: int, samples: np.ndarray) -> np.ndarray:
    lips = LipResampler(rate, samples.shape[1])
    return np.concatenate([lips.push(samples), lips.flush()])


def noise(count: int, channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-32768, 32768, (count, channels)).astype(np.int16)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from(RATES),
    channels=st.sampled_from([1, 2]),
    cuts=st.lists(st.integers(0, 5000), max_size=12),
    seed=st.integers(0, 1000),
)
def test_chunking_changes_no_bit(rate: int, channels: int, cuts: list[int], seed: int) -> None:
    samples = noise(5000, channels, seed)
    lips = LipResampler(rate, channels)
    pieces = [lips.push(piece) for piece in np.split(samples, sorted(cuts))]
    pieces.append(lips.flush())
    assert np.concatenate(pieces).tobytes() == whole(rate, samples).tobytes()


@settings(max_examples=60, deadline=None)
@given(rate=st.sampled_from(RATES), count=st.integers(0, 4000), more=st.integers(0, 4000))
def test_a_flush_gives_all_and_shifts_nothing(rate: int, count: int, more: int) -> None:
    samples = noise(count + more, 1)
    lips = LipResampler(rate, 1)
    first = np.concatenate([lips.push(samples[:count]), lips.flush()])
    assert len(first) == count * 16000 // rate
    second = np.concatenate([lips.push(samples[count:]), lips.flush()])
    assert len(first) + len(second) == (count + more) * 16000 // rate
    # Before the flush the future was silence; what hears nothing of that place is as if there was no flush.
    reach = 1 + 40 * max(16000, rate) // rate
    undisturbed = whole(rate, samples)
    assert np.array_equal(first[: max(0, len(first) - reach)], undisturbed[: max(0, len(first) - reach)])
    assert np.array_equal(second, undisturbed[len(first) :])


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_keeps_its_time_and_level(rate: int) -> None:
    hertz = 700.0
    times = np.arange(rate) / rate
    samples = np.round(20000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)[:, None]
    got = whole(rate, samples)
    want = 20000 / 32768 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)
    inner = slice(200, -200)  # silence begins abruptly at both ends
    assert np.abs(got[inner] - want[inner]).max() < 2e-4


def test_what_16_khz_cannot_hold_is_gone() -> None:
    samples = np.round(20000 * np.sin(2 * np.pi * 11000 * np.arange(48000) / 48000)).astype(np.int16)[:, None]
    assert np.abs(whole(48000, samples)[200:-200]).max() < 1e-4


@pytest.mark.parametrize("rate", [r for r in RATES if r != 16000])
def test_a_constant_stays_exactly_what_it_was(rate: int) -> None:
    got = whole(rate, np.full((4000, 1), 8192, np.int16))
    assert np.all(got[200:-200] == np.float32(0.25))


def test_two_channels_are_averaged() -> None:
    left, right = noise(3000, 1, 1) // 2, noise(3000, 1, 2) // 2
    stereo = whole(24000, np.hstack([left, right]))
    mono = whole(24000, left + right)
    assert np.array_equal(stereo, mono / 2)


def test_memory_stays_bounded() -> None:
    resampler = Resampler(44100, 16000, 1)
    for _ in range(50):
        resampler.push(noise(4410, 1))
    assert len(resampler._kept) < 1000
