"""One stream's sound to token windows, block by block; see `avatar_inference.engine.FeatureStream`.

Where blocks begin and end depends on sample positions and flushes alone, never on how or when sound arrived.
A frame's tokens are taken once, when its window is complete or a flush ends it, and never revised.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar_core.timeline import frames_before
from avatar_inference.musetalk.hearing import Hearing
from avatar_inference.musetalk.layout import BLOCK_SAMPLES, SAMPLE_RATE
from avatar_inference.musetalk.windows import (
    AUDIO_FRAME,
    WINDOW,
    aligned_start,
    upstream_length,
    upstream_start,
)

LIVE_STEP = 5_120
"""LIVE: samples (320 ms) after which what is new is encoded."""
OFFLINE_STEP = 160_000
"""OFFLINE: samples (10 s) after which sound without a flush is encoded; the server reads only 30 s ahead."""
_BLOCK_ROWS = BLOCK_SAMPLES // AUDIO_FRAME

Sound = NDArray[np.float32]


def token_windows(states: Tensor, first: int, starts: Sequence[int]) -> list[Tensor]:
    """Windows of hidden states as tokens, time slow and layer fast.

    Args:
        states: [T, layers, width]: audio frames first, first + 1, …
        first: number of the first audio frame.
        starts: of the windows, one or more whole numbers in ascending order; outside `states` there are
            zeros, as in training.

    Returns:
        For each start [10 * layers, width]: views of one copy of what they need. Neighbours share most of
        their audio frames, and up to 32 s of them may wait to be drawn.
    """
    begin, end = starts[0], starts[-1] + WINDOW
    known = states[max(begin - first, 0) : max(end - first, 0)]
    before = min(max(first - begin, 0), end - begin)
    needed = states.new_zeros(end - begin, *states.shape[1:])
    needed[before : before + len(known)] = known
    return [needed[start - begin : start - begin + WINDOW].flatten(0, 1) for start in starts]


class AlignedListener:
    """Encodes the last 30 s up to a step or a flush and takes the frames whose windows are whole by then.

    Args:
        hearing: encodes.
        fps: frames a second.
        live: encode every 320 ms, not every 10 s.
    """

    def __init__(self, hearing: Hearing, fps: Fraction, live: bool) -> None:
        self._hearing = hearing
        self._fps = fps
        self._step = LIVE_STEP if live else OFFLINE_STEP
        self._sound: Sound = np.zeros(0, np.float32)  # the last 30 s, and what is not encoded yet
        self._pushed = 0
        self._taken = 0  # frames
        self.engine_seconds = 0.0

    def push(self, samples: Sound) -> Sequence[Tensor]:
        """Takes float32 [n]; returns the tokens, [50, 384] each, of frames now complete."""
        tokens: list[Tensor] = []
        while len(samples):
            room = self._step - self._pushed % self._step
            self._keep(samples[:room])
            samples = samples[room:]
            if self._pushed % self._step == 0:
                tokens += self._take(self._complete())
        return tokens

    def flush(self, frames: int, *, last: bool) -> Sequence[Tensor]:
        """An utterance ends here: the tokens missing up to `frames` frames in all."""
        return self._take(frames)

    def _keep(self, samples: Sound) -> None:
        self._pushed += len(samples)
        self._sound = np.concatenate([self._sound, samples])[-BLOCK_SAMPLES:]

    def _complete(self) -> int:
        """Frames whose windows end within the sound so far."""
        frames = self._taken
        while aligned_start(frames, self._fps) + WINDOW <= self._pushed // AUDIO_FRAME:
            frames += 1
        return frames

    def _take(self, frames: int) -> Sequence[Tensor]:
        if frames <= self._taken:
            return []
        starts = [aligned_start(frame, self._fps) for frame in range(self._taken, frames)]
        self._taken = frames
        # A block begins on the border of two audio frames, or windows would lie between its rows.
        begin = -(-(self._pushed - len(self._sound)) // AUDIO_FRAME)
        sound = self._sound[begin * AUDIO_FRAME - (self._pushed - len(self._sound)) :]
        encoded = self._hearing.encode(sound, len(sound) // AUDIO_FRAME)
        self.engine_seconds += encoded.seconds
        return token_windows(encoded.states, begin, starts)


class UpstreamListener:
    """Blocks of 30 s from the start, one after another, as published; nothing is ready before a block ends.

    Flushes are ignored but for the last one: the published arithmetic knows no utterances.

    Args:
        hearing: encodes.
        fps: frames a second; what is after the point is dropped.
    """

    def __init__(self, hearing: Hearing, fps: Fraction) -> None:
        self._hearing = hearing
        self._fps = fps
        self._sound: Sound = np.zeros(0, np.float32)  # of the block not encoded yet
        self._pushed = 0
        self._taken = 0
        self._states: Tensor | None = None  # those that later windows may need
        self._first = 0  # number of the first of them
        self.engine_seconds = 0.0

    def push(self, samples: Sound) -> Sequence[Tensor]:
        """Takes float32 [n]; returns the tokens, [50, 384] each, of frames now complete."""
        tokens: list[Tensor] = []
        while len(samples):
            room = BLOCK_SAMPLES - len(self._sound)
            self._sound = np.concatenate([self._sound, samples[:room]])
            self._pushed += len(samples[:room])
            samples = samples[room:]
            if len(self._sound) == BLOCK_SAMPLES:
                self._encode(_BLOCK_ROWS)
                length = self._pushed // AUDIO_FRAME
                frames = self._taken
                while upstream_start(frames, self._fps, length) + WINDOW <= length:
                    frames += 1
                # At 12 frames a second a window ends where its frame begins, which may be past the sound.
                begun = frames_before(self._pushed, SAMPLE_RATE, self._fps)
                tokens += self._take(min(frames, begun), length)
        return tokens

    def flush(self, frames: int, *, last: bool) -> Sequence[Tensor]:
        """At the last flush the tokens missing up to `frames`; zeros where the published code has none."""
        if not last:
            return []
        length = upstream_length(self._pushed)
        # A sound shorter than one sample at 16 kHz has a frame all the same.
        if len(self._sound) or self._states is None:
            self._encode(length - self._first - (0 if self._states is None else len(self._states)))
        return self._take(frames, length)

    def _encode(self, rows: int) -> None:
        encoded = self._hearing.encode(self._sound, rows)
        self.engine_seconds += encoded.seconds
        self._sound = np.zeros(0, np.float32)
        states = encoded.states if self._states is None else torch.cat([self._states, encoded.states])
        kept = states[-_BLOCK_ROWS - 2 * WINDOW * 2 :]
        self._first += len(states) - len(kept)
        self._states = kept

    def _take(self, frames: int, length: int) -> Sequence[Tensor]:
        if frames <= self._taken or self._states is None:
            return []
        starts = [upstream_start(frame, self._fps, length) for frame in range(self._taken, frames)]
        self._taken = frames
        return token_windows(self._states, self._first, starts)
