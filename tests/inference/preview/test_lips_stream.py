"""The listener as a stream: chunking never shows, it looks 120 ms ahead at most, and it forgets."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.lip_speech import Sound, listened, openings, sound_of

from avatar_core.limits import LIP_RATE
from avatar_core.timeline import frame_count, samples_until
from avatar_inference.preview.lips import LipListener
from avatar_inference.preview.mouth import MouthShape

LOOK_AHEAD = LIP_RATE * 120 // 1000
RATES = [Fraction(12), Fraction(15), Fraction(30000, 1001), Fraction(30)]
rates = st.sampled_from([*RATES, Fraction(25), Fraction(1009, 61)])


def spoken(seconds: float) -> Sound:
    return sound_of("en-us")[: int(seconds * LIP_RATE)]


@settings(max_examples=25, deadline=None)
@given(fps=rates, cuts=st.lists(st.integers(0, 3 * LIP_RATE), max_size=12), size=st.integers(100, 2000))
def test_any_chunking_gives_the_same_mouths_to_the_bit(fps: Fraction, cuts: list[int], size: int) -> None:
    sound = spoken(3)
    whole = LipListener(fps)
    expected = [*whole.push(sound), *whole.flush(95)]
    for edges in (sorted(cuts), range(size, len(sound), size)):
        cut = LipListener(fps)
        shapes = [shape for piece in np.split(sound, edges) for shape in cut.push(piece)]
        assert shapes + list(cut.flush(95)) == expected


@settings(max_examples=25, deadline=None)
@given(
    fps=rates,
    first=st.integers(0, 2 * LIP_RATE),
    extra=st.integers(-3, 8),
    cuts=st.lists(st.integers(0, 2 * LIP_RATE), max_size=6),
)
def test_flushes_count_but_not_the_chunks_around_them(
    fps: Fraction, first: int, extra: int, cuts: list[int]
) -> None:
    sound = spoken(4)
    frames = max(0, frame_count(first, LIP_RATE, fps) + extra)

    def heard(cut: bool) -> list[MouthShape]:
        listener = LipListener(fps)
        before = np.split(sound[:first], sorted(cuts)) if cut else [sound[:first]]
        after = np.split(sound[first:], sorted(cuts)) if cut else [sound[first:]]
        shapes = [shape for piece in before for shape in listener.push(piece)]
        shapes += listener.flush(frames)
        shapes += [shape for piece in after for shape in listener.push(piece)]
        return shapes

    shapes = heard(cut=True)
    assert shapes == heard(cut=False)
    unflushed = LipListener(fps).push(sound)
    assert len(shapes) == max(len(unflushed), frames)
    assert shapes[frames:] == unflushed[frames:]  # a flush changes only what it hands out


@pytest.mark.parametrize("fps", RATES)
def test_a_frame_is_out_120_ms_after_its_end(fps: Fraction) -> None:
    listener, out = LipListener(fps), 0
    for heard in range(160, 6 * LIP_RATE, 160):
        out += len(listener.push(spoken(6)[heard - 160 : heard]))
        assert samples_until(out + 1, LIP_RATE, fps) + LOOK_AHEAD > heard, "the next frame was due"
    assert out > 5 * fps


@pytest.mark.parametrize("fps", RATES)
def test_later_sound_never_changes_a_frame_that_is_out(fps: Fraction) -> None:
    sound = spoken(3)
    for end in range(LIP_RATE, 2 * LIP_RATE, 1777):
        early = LipListener(fps).push(sound[:end])
        assert early == LipListener(fps).push(sound)[: len(early)]


def test_a_flush_sees_silence_after_the_end() -> None:
    sound = spoken(2)
    flushed = listened(sound, 25)
    silent = LipListener(Fraction(25)).push(np.concatenate([sound, np.zeros(LIP_RATE, np.float32)]))
    assert flushed == silent[: len(flushed)]
    assert len(flushed) == 50


def test_frames_far_beyond_the_sound_are_closed() -> None:
    listener = LipListener(Fraction(15))
    listener.push(spoken(1))
    assert openings(listener.flush(400))[30:].max() < 0.01
    assert listener.flush(400) == []
    assert listener.flush(10) == []


def test_no_sound_at_all_is_a_closed_mouth() -> None:
    shapes = LipListener(Fraction(15)).flush(5)
    assert len(shapes) == 5
    assert openings(shapes).max() < 0.01
    assert LipListener(Fraction(15)).push(np.empty(0, np.float32)) == []


def test_memory_stays_constant() -> None:
    listener = LipListener(Fraction(15))
    second = spoken(1)
    listener.push(second)
    tracemalloc.start()
    try:
        sizes = []
        for count in (10, 200):
            for _ in range(count):
                listener.push(second)
            sizes.append(tracemalloc.get_traced_memory()[0])
        assert sizes[1] < sizes[0] + 50_000  # the sound alone was 12,800,000
        tracemalloc.reset_peak()
        listener.push(np.tile(second, 120))
        assert tracemalloc.get_traced_memory()[1] < sizes[0] + 24_000_000  # the two minutes alone take 8
    finally:
        tracemalloc.stop()
