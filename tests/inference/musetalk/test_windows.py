from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_core.timeline import frame_count
from avatar_inference.musetalk.windows import (
    AUDIO_FRAME,
    WINDOW,
    aligned_start,
    upstream_end,
    upstream_frames,
    upstream_length,
    upstream_start,
)

RATES = st.fractions(min_value=12, max_value=30, max_denominator=1001) | st.sampled_from(
    [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(12), Fraction(25, 2), Fraction(30)]
)
LENGTHS = st.integers(320, 16_000 * 3600)


@settings(max_examples=500)
@given(fps=RATES, frame=st.integers(0, 200_000))
def test_an_aligned_window_is_centred_on_its_frame(fps: Fraction, frame: int) -> None:
    """Within 10 ms, which is less than half a frame at every rate allowed."""
    middle = Fraction(aligned_start(frame, fps) + WINDOW // 2, 50)
    error = abs(middle - Fraction(2 * frame + 1, 2) / fps)
    assert error <= Fraction(1, 100)
    assert error < 1 / fps / 2


@settings(max_examples=300)
@given(fps=RATES, samples=LENGTHS)
def test_no_frame_is_lost_and_none_is_deaf(fps: Fraction, samples: int) -> None:
    """The frames cover the sound to within one, and the last one hears some of it."""
    frames = frame_count(samples, 16_000, fps)
    assert abs(frames / fps - Fraction(samples, 16_000)) < 1 / fps
    assert aligned_start(frames - 1, fps) < samples // AUDIO_FRAME
    assert aligned_start(0, fps) + WINDOW > 0


@given(frame=st.integers(0, 1_000_000))
def test_at_the_rate_of_training_windows_lie_as_in_training(frame: int) -> None:
    assert aligned_start(frame, Fraction(25)) == 2 * frame - 4


@given(fps=RATES, frame=st.integers(0, 100_000))
def test_windows_move_on_evenly(fps: Fraction, frame: int) -> None:
    step = aligned_start(frame + 1, fps) - aligned_start(frame, fps)
    assert abs(step - 50 / fps) < 1


@pytest.mark.parametrize(
    ("samples", "fps", "length", "frames"),
    [(160_000, 25, 500, 250), (18_560, 25, 57, 28), (480_001, 25, 1500, 750), (160_000, 30, 500, 300)],
)
def test_upstream_counts(samples: int, fps: int, length: int, frames: int) -> None:
    assert upstream_length(samples) == length
    assert upstream_frames(samples, Fraction(fps)) == frames


def test_upstream_counts_as_floating_point_does() -> None:
    """Below 30 s 73 lengths give one audio frame less than exact whole numbers would."""
    short = sum(upstream_length(samples) < samples * 50 // 16_000 for samples in range(480_000))
    assert short == 73


@pytest.mark.parametrize(
    ("rates", "begin"), [((25, 30), -4), ((17, 18, 20, 24), -6), ((13, 15, 16), -8), ((12,), -10)]
)
def test_upstream_windows_lag_below_the_rate_of_training(rates: tuple[int, ...], begin: int) -> None:
    for rate in rates:
        for frame in range(500):
            assert upstream_start(frame, Fraction(rate), 1500) == int(frame * (50 / rate)) + begin


def test_upstream_takes_no_fractions_of_a_rate() -> None:
    assert upstream_start(29, Fraction(30000, 1001), 1500) == 50 - 4
    assert upstream_frames(160_000, Fraction(30000, 1001)) == 290


@pytest.mark.parametrize(("fps", "end"), [(25, 512), (24, 518), (16, 524), (12, 530)])
def test_upstream_pads_behind(fps: int, end: int) -> None:
    assert upstream_end(Fraction(fps), 500) == end
    assert upstream_end(Fraction(fps), 3) == 6
    assert upstream_start(0, Fraction(fps), 3) == -3
