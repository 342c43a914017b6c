from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.errors import InvalidInputError
from avatar_core.timeline import frame_count, frames_before, parse_fps, ping_pong, samples_until

rates = st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000]) | st.integers(8000, 48000)
fractions = st.fractions(min_value=12, max_value=30, max_denominator=1001)


@given(st.integers(0, 48000 * 3600), rates, fractions)
def test_frames_cover_all_samples_and_not_one_more(samples: int, rate: int, fps: Fraction) -> None:
    frames = frames_before(samples, rate, fps)
    assert frames == ceil(Fraction(samples, rate) * fps)
    assert samples_until(frames, rate, fps) >= samples
    if frames:
        assert Fraction(frames - 1) / fps < Fraction(samples, rate)


@given(st.integers(0, 100_000), rates, fractions)
def test_the_sound_of_consecutive_frames_joins_without_gap(frame: int, rate: int, fps: Fraction) -> None:
    start, end = samples_until(frame, rate, fps), samples_until(frame + 1, rate, fps)
    assert 0 <= start - frame / fps * rate < 1
    assert abs((end - start) - rate / fps) < 1


def test_a_video_has_at_least_one_frame() -> None:
    assert frame_count(0, 16000, Fraction(15)) == 1
    assert frame_count(1, 16000, Fraction(15)) == 1
    assert frame_count(16000, 16000, Fraction(15)) == 15
    assert frame_count(16001, 16000, Fraction(15)) == 16


@pytest.mark.parametrize(
    ("given_", "fps"),
    [
        (15, Fraction(15)),
        ("15", Fraction(15)),
        (29.97, Fraction(2997, 100)),
        ("30000/1001", Fraction(30000, 1001)),
        (12, Fraction(12)),
        (30, Fraction(30)),
    ],
)
def test_frame_rates_are_exact(given_: object, fps: Fraction) -> None:
    assert parse_fps(given_) == fps


@pytest.mark.parametrize(
    "bad",
    [
        11,
        31,
        0,
        -15,
        float("nan"),
        float("inf"),
        "abc",
        "15/0",
        None,
        True,
        [],
        "1" * 40,
        "15000001/1000000",
        "",
    ],
)
def test_bad_frame_rates_are_refused_with_range_and_field(bad: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_fps(bad, "spec.video.fps")
    assert caught.value.field == "spec.video.fps"
    assert "12 to 30" in str(caught.value)


@given(st.integers(0, 10_000), st.integers(1, 50))
def test_ping_pong_walks_by_single_steps_within_bounds(position: int, length: int) -> None:
    here, there = ping_pong(position, length), ping_pong(position + 1, length)
    assert 0 <= here <= length
    assert abs(here - there) == 1


def test_a_still_picture_stays() -> None:
    assert {ping_pong(p, 0) for p in range(5)} == {0}
