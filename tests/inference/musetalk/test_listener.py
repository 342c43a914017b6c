"""The listeners with a stand-in encoder whose states tell which audio frame of which block they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from avatar_core.timeline import frame_count, frames_before
from avatar_inference.musetalk.hearing import Encoded
from avatar_inference.musetalk.listener import AlignedListener, UpstreamListener, token_windows
from avatar_inference.musetalk.windows import AUDIO_FRAME, WINDOW, aligned_start, upstream_start

RATES = st.fractions(min_value=12, max_value=30, max_denominator=1001)


class CountingEncoder:
    """Fake: sound is a count of its samples, and a state is the number of the audio frame it belongs to."""

    def __init__(self) -> None:
        self.blocks: list[tuple[int, int]] = []

    def encode(self, sound: NDArray[np.float32], rows: int) -> Encoded:
        assert len(sound) <= 480_000
        first = round(float(sound[0])) if len(sound) else 0
        assert first % AUDIO_FRAME == 0
        self.blocks.append((first, len(sound)))
        numbers = torch.arange(rows, dtype=torch.float32) + first // AUDIO_FRAME + 1
        return Encoded(numbers[:, None, None].expand(rows, 5, 384), 0.5)


def sound(samples: int) -> NDArray[np.float32]:
    return np.arange(samples, dtype=np.float32)


def expected(starts: Sequence[int], length: int) -> list[list[int]]:
    """Audio frames of each window, counted from 1, 0 outside the sound."""
    return [[row + 1 if 0 <= row < length else 0 for row in range(s, s + WINDOW)] for s in starts]


def heard(tokens: Sequence[Tensor]) -> list[list[int]]:
    assert all(each.shape == (50, 384) for each in tokens)
    assert all((each.reshape(10, 5, 384) == each[::5][:, None, :]).all() for each in tokens)
    return [each[::5, 0].int().tolist() for each in tokens]


def feed(listener: AlignedListener | UpstreamListener, samples: int, cuts: Sequence[int]) -> list[Tensor]:
    whole, tokens = sound(samples), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), samples], strict=True):
        tokens += listener.push(whole[begin:end])
    return tokens


@settings(max_examples=150, deadline=None)
@given(
    fps=RATES,
    samples=st.integers(320, 1_200_000),
    live=st.booleans(),
    cut=st.lists(st.integers(0, 1_200_000), max_size=5),
)
def test_every_frame_comes_once_with_its_own_window(
    fps: Fraction, samples: int, live: bool, cut: list[int]
) -> None:
    encoder = CountingEncoder()
    listener = AlignedListener(encoder, fps, live)  # type: ignore[arg-type]
    frames = frame_count(samples, 16_000, fps)
    tokens = feed(listener, samples, [min(each, samples) for each in cut])
    known = len(tokens)
    tokens += listener.flush(frames, last=True)
    starts = [aligned_start(frame, fps) for frame in range(frames)]
    assert heard(tokens) == expected(starts, samples // AUDIO_FRAME)
    # What was ready before the end had nothing missing.
    early = zip(heard(tokens[:known]), starts, strict=False)
    assert all(0 not in row[max(0, -start) :] for row, start in early)
    assert listener.engine_seconds == 0.5 * len(encoder.blocks)
    assert all(count > 479_680 or begin == 0 for begin, count in encoder.blocks)


@settings(max_examples=60, deadline=None)
@given(
    fps=RATES,
    live=st.booleans(),
    flushes=st.lists(st.integers(1, 400_000), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 1_000_000), max_size=6),
)
def test_blocks_depend_on_positions_and_flushes_alone(
    fps: Fraction, live: bool, flushes: list[int], cuts: list[int]
) -> None:
    def run(cuts: Sequence[int]) -> tuple[list[list[int]], list[tuple[int, int]]]:
        encoder, tokens, at = CountingEncoder(), [], 0
        listener = AlignedListener(encoder, fps, live)  # type: ignore[arg-type]
        for length in flushes:
            inner = sorted({at, at + length, *(cut for cut in cuts if at < cut < at + length)})
            for begin, end in pairwise(inner):
                tokens += listener.push(sound(at + length)[begin:end])
            at += length
            tokens += listener.flush(frames_before(at, 16_000, fps), last=False)
        return heard(tokens), encoder.blocks

    assert run(cuts) == run([])


def test_a_flush_ends_windows_and_drawn_frames_stay() -> None:
    """Frames that a flush drew saw zeros where the next sentence came; later ones see it whole."""
    encoder = CountingEncoder()
    listener = AlignedListener(encoder, Fraction(25), False)  # type: ignore[arg-type]
    whole = sound(32_000)
    first = [*listener.push(whole[:16_000]), *listener.flush(25, last=False)]
    second = [*listener.push(whole[16_000:]), *listener.flush(50, last=True)]
    assert (len(first), len(second)) == (25, 25)
    assert heard(first)[-1] == [45, 46, 47, 48, 49, 50, 0, 0, 0, 0]
    assert heard(second)[0] == list(range(47, 57))
    assert listener.flush(50, last=True) == []


def test_live_hears_every_320_ms_and_offline_rarely() -> None:
    ready: dict[bool, list[int]] = {}
    for live in (True, False):
        listener = AlignedListener(CountingEncoder(), Fraction(25), live)  # type: ignore[arg-type]
        counts, total = [], 0
        for at in range(0, 320_000, 1_600):
            total += len(listener.push(sound(320_000)[at : at + 1_600]))
            counts.append(total)
        ready[live] = counts
    # Every 320 ms, all frames but the two whose windows reach 120 ms further.
    assert ready[True][5] == 6
    assert sorted(set(ready[True]))[1:4] == [6, 14, 22]
    assert set(ready[False]) == {0, 248, 498}


@pytest.mark.parametrize("samples", [1, 319, 320, 5_000])
def test_the_shortest_sounds_have_a_frame(samples: int) -> None:
    listener = AlignedListener(CountingEncoder(), Fraction(15), False)  # type: ignore[arg-type]
    frames = frame_count(samples, 16_000, Fraction(15))
    tokens = [*listener.push(sound(samples)), *listener.flush(frames, last=True)]
    assert len(tokens) == frames


@settings(max_examples=40, deadline=None)
@given(fps=st.integers(12, 30), samples=st.integers(1_280, 1_500_000), cut=st.integers(0, 1_500_000))
def test_upstream_windows_over_many_blocks(fps: int, samples: int, cut: int) -> None:
    encoder = CountingEncoder()
    listener = UpstreamListener(encoder, Fraction(fps))  # type: ignore[arg-type]
    early = feed(listener, samples, [min(cut, samples)])
    assert listener.flush(10**9, last=False) == []
    length, frames = int(samples / 16_000 * 50), int(samples / 16_000 * fps)
    tokens = [*early, *listener.flush(frames, last=True)]
    starts = [upstream_start(frame, Fraction(fps), length) for frame in range(len(tokens))]
    assert len(tokens) == frames
    assert heard(tokens) == expected(starts, length)
    assert bool(early) is (samples >= 480_000)
    assert [begin for begin, _ in encoder.blocks] == list(range(0, samples, 480_000))


@pytest.mark.parametrize(
    "make",
    [lambda e: AlignedListener(e, Fraction(15), False), lambda e: UpstreamListener(e, Fraction(15))],
)
def test_an_encoder_that_fails_is_heard_of(make: Callable[[object], AlignedListener]) -> None:
    class Broken:
        def encode(self, sound: NDArray[np.float32], rows: int) -> Encoded:
            raise RuntimeError("out of memory")

    listener = make(Broken())
    listener.push(sound(16_000))
    with pytest.raises(RuntimeError, match="out of memory"):
        listener.flush(15, last=True)


def test_windows_gather_time_slow_and_layers_fast() -> None:
    states = torch.arange(12 * 5 * 4, dtype=torch.float32).reshape(12, 5, 4)
    tokens = torch.stack(token_windows(states, 100, [98, 101, 109, 200]))
    assert tokens.shape == (4, 50, 4)
    assert (tokens[1] == states[1:11].reshape(50, 4)).all()
    assert (tokens[0, :10] == 0).all()
    assert (tokens[0, 10:] == states[:8].reshape(40, 4)).all()
    assert (tokens[2, :15] == states[9:].reshape(15, 4)).all()
    assert (tokens[2, 15:] == 0).all()
    assert (tokens[3] == 0).all()
    assert all((each == 0).all() for each in token_windows(states, 100, [10, 80]))
    assert all((each == 0).all() for each in token_windows(states, 100, [200, 202]))


def test_frames_that_wait_share_the_sound_they_have_in_common() -> None:
    """As copies, 32 s of tokens would be 60 MB in float32; that many may wait in each of 64 renders."""
    listener = AlignedListener(CountingEncoder(), Fraction(25), False)  # type: ignore[arg-type]
    tokens = listener.push(sound(160_000))
    held = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tokens}
    assert len(tokens) == 248
    assert sum(held.values()) <= 504 * 5 * 384 * 4


def test_a_sound_too_short_for_one_sample_has_its_frame() -> None:
    """One sample at 48 kHz is none at 16 kHz, and still a frame of the video."""
    for listener in (
        UpstreamListener(CountingEncoder(), Fraction(25)),  # type: ignore[arg-type]
        AlignedListener(CountingEncoder(), Fraction(25), False),  # type: ignore[arg-type]
    ):
        assert heard(listener.flush(1, last=True)) == [[0] * WINDOW]
