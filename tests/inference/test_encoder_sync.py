"""Flash and click: on the presentation times of what is decoded from the published MP4, nothing has moved."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.flash_click import Clip, decode, encode, write_fragments

from avatar_core.media.mp4 import probe, remux
from avatar_core.timeline import samples_until

FPS = [Fraction(12), Fraction(15), Fraction(18), Fraction(25), Fraction(30000, 1001)]
RATES = [16000, 22050, 24000, 48000]
TOLERANCE = 0.005
"""Seconds that are promised."""
MEASURED = 0.0005
"""What is really there: the click's centre is known to a part of a sample."""


def check(clip: Clip, folder: Path, flush_after: range | list[int] = []) -> None:  # noqa: B006
    fragments = write_fragments(encode(clip, flush_after=flush_after), folder / "clip.fragments.mp4")
    published = folder / "clip.mp4"
    remux(fragments, published, {"engine": "test"})
    for path in (fragments, published):
        check_decoded(clip, path)
    facts = probe(published)
    assert facts.frames == clip.frames
    assert facts.fps == pytest.approx(clip.fps, abs=1e-9)
    assert facts.video_duration == clip.frames / clip.fps
    # Equal as far as whole samples allow: the sound is padded up to the next one.
    assert 0 <= facts.audio_duration - facts.video_duration < Fraction(1, facts.sample_rate)
    assert facts.audio_duration == Fraction(
        samples_until(clip.frames, facts.sample_rate, clip.fps), facts.sample_rate
    )


def check_decoded(clip: Clip, path: Path) -> None:
    got = decode(path)
    assert got.frame_times == [frame / clip.fps for frame in range(clip.frames)]
    assert got.sound_start == 0
    flashes = [float(flash / clip.fps) for flash in clip.flashes]
    assert got.flashes == pytest.approx(flashes, abs=1e-9)
    for flash, click in zip(flashes, got.clicks(flashes), strict=True):
        assert abs(click - flash) < MEASURED < TOLERANCE


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("fps", FPS, ids=str)
def test_every_rate_with_every_frame_rate(fps: Fraction, rate: int, tmp_path: Path) -> None:
    check(Clip(1.0, fps, rate), tmp_path)


@pytest.mark.parametrize("seconds", [0.05, 0.07, 0.3, 3.21, 20.0])
@pytest.mark.parametrize(("fps", "rate"), [(FPS[1], 24000), (FPS[4], 22050)], ids=["15-24000", "29.97-22050"])
def test_every_length(seconds: float, fps: Fraction, rate: int, tmp_path: Path) -> None:
    check(Clip(seconds, fps, rate, channels=2), tmp_path)


@pytest.mark.parametrize("lead_in_ms", [0, 10, 60, 64, 500])
@pytest.mark.parametrize("rate", RATES)
def test_every_lead_in(lead_in_ms: int, rate: int, tmp_path: Path) -> None:
    check(Clip(0.5, FPS[1], rate, lead_in_ms=lead_in_ms), tmp_path)


@pytest.mark.parametrize("lead_in_ms", [0, 200])
@pytest.mark.parametrize("rate", [8000, 8001, 10000, 37800, 44100])
def test_rates_aac_does_not_know(rate: int, lead_in_ms: int, tmp_path: Path) -> None:
    check(Clip(0.5, FPS[2], rate, lead_in_ms=lead_in_ms), tmp_path)


@pytest.mark.parametrize("lead_in_ms", [0, 120])
def test_flushes_move_nothing(lead_in_ms: int, tmp_path: Path) -> None:
    clip = Clip(4.0, FPS[1], 24000, lead_in_ms=lead_in_ms)
    free = [f for f in range(clip.frames) if all(abs(f - flash) > 3 for flash in clip.flashes)]
    check(clip, tmp_path, free)


@settings(max_examples=40, deadline=None)
@given(
    seconds=st.floats(0.0001, 0.6),
    fps=st.fractions(12, 30, max_denominator=1001),
    rate=st.integers(8000, 48000),
    channels=st.sampled_from([1, 2]),
    lead_in_ms=st.sampled_from([0, 63, 120, 333]),
)
def test_any_stream(
    seconds: float,
    fps: Fraction,
    rate: int,
    channels: int,
    lead_in_ms: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check(Clip(seconds, fps, rate, channels, lead_in_ms), tmp_path_factory.mktemp("any"))


@pytest.mark.slow
def test_ten_minutes(tmp_path: Path) -> None:
    check(Clip(600.0, FPS[4], 22050), tmp_path)


def test_a_shifted_click_would_be_found(tmp_path: Path) -> None:
    """The yardstick itself: 1 ms is seen."""
    clip = Clip(0.5, FPS[1], 24000)
    got = decode(write_fragments(encode(clip), tmp_path / "clip.mp4"))
    time = float(clip.flashes[0] / clip.fps)
    late = np.concatenate([np.zeros(24, np.float32), got.sound])
    from tests.support.flash_click import find_click

    assert find_click(late, got.rate, time) - time == pytest.approx(0.001, abs=MEASURED / 5)
