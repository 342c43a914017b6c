"""Sample rate conversion whose output depends on sample positions alone, bit for bit.

A windowed-sinc polyphase filter in exact integer arithmetic: 16-bit samples times 22-bit coefficients,
summed in float64, stay below 2**53, so every order of summation gives the same sum however the sound was cut
into pieces. FFmpeg's resampler can neither flush and go on nor promise that.

Filter: sinc with a Kaiser window, see Smith, "Digital Audio Resampling Home Page",
https://ccrma.stanford.edu/~jos/resample/.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

ZERO_CROSSINGS = 16
"""Of the sinc, on each side: 1 ms of look-ahead at 16 kHz."""
ROLL_OFF = 0.92
KAISER_BETA = 8.6
"""Aliases stay about 85 dB below the signal."""
COEFFICIENT_BITS = 22
BLOCK = 4096
"""Outputs computed at once; bounds memory, not results."""


class Resampler:
    """Converts a stream of integer samples from one rate to another.

    Output sample k stands for the time k/target_rate; before the first sample there is silence.

    Args:
        source_rate, target_rate: samples per second.
        channels: columns of the arrays pushed.
    """

    def __init__(self, source_rate: int, target_rate: int, channels: int) -> None:
        divisor = gcd(source_rate, target_rate)
        self._up, self._down = target_rate // divisor, source_rate // divisor
        self._filters = _filters(self._up, self._down)
        self._half = self._filters.shape[1] // 2
        self._kept = np.zeros((self._half - 1, channels))
        self._first = 1 - self._half
        self._taken = self._given = 0

    def push(self, samples: NDArray[np.integer]) -> NDArray[np.float32]:
        """Takes sound that follows.

        Args:
            samples: integer [n, channels], at most 17 bits and sign.

        Returns:
            float32 [m, channels], 32768 becomes 1: all outputs that later samples cannot change.
        """
        self._taken += len(samples)
        if self._up == self._down:
            self._given = self._taken
            return (samples / np.float64(32768)).astype(np.float32)
        self._kept = np.concatenate([self._kept, samples])
        # Output k needs input up to floor(k * down / up) + half.
        ready = max(self._given, -(-(self._taken - self._half) * self._up // self._down))
        return self._give(ready)

    def flush(self) -> NDArray[np.float32]:
        """Everything up to now as if silence followed: floor(samples * target / source) outputs in all.

        Sound may follow; later outputs keep their times.
        """
        if self._up == self._down:
            return np.zeros((0, self._kept.shape[1]), np.float32)
        sound = self._kept
        self._kept = np.concatenate([sound, np.zeros((self._half, sound.shape[1]))])
        given = self._give(self._taken * self._up // self._down)
        self._kept = self._kept[: len(self._kept) - self._half]
        return given

    def _give(self, until: int) -> NDArray[np.float32]:
        if until == self._given:  # a few samples may not even fill one window
            return np.zeros((0, self._kept.shape[1]), np.float32)
        windows = sliding_window_view(self._kept, 2 * self._half, axis=0)
        blocks = [np.zeros((0, self._kept.shape[1]), np.float32)]
        for start in range(self._given, until, BLOCK):
            position = np.arange(start, min(until, start + BLOCK)) * self._down
            left = position // self._up - (self._half - 1) - self._first
            sums = np.einsum("kct,kt->kc", windows[left], self._filters[position % self._up])
            blocks.append((sums / (32768 << COEFFICIENT_BITS)).astype(np.float32))
        self._given = until
        self._forget()
        return np.concatenate(blocks)

    def _forget(self) -> None:
        """Drops input that no later output needs."""
        needed = self._given * self._down // self._up - (self._half - 1)
        if needed > self._first:
            self._kept = self._kept[needed - self._first :]
            self._first = needed


@lru_cache(maxsize=4)
def _filters(up: int, down: int) -> NDArray[np.float64]:
    """Whole-numbered coefficients, float64 [up, taps]: row p for outputs that lie p/up after a sample.

    Every row sums to exactly 2**COEFFICIENT_BITS: a constant stays what it was.
    """
    cutoff = ROLL_OFF * min(1.0, up / down)
    half = ceil(ZERO_CROSSINGS / cutoff)
    offsets = np.arange(1 - half, half + 1)[None, :] - np.arange(up)[:, None] / up
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (offsets / half) ** 2, 0, None)))
    ideal = np.sinc(cutoff * offsets) * window
    unit = 1 << COEFFICIENT_BITS
    filters: NDArray[np.float64] = np.rint(ideal * (unit / ideal.sum(axis=1, keepdims=True)))
    filters[:, half - 1] += unit - filters.sum(axis=1)
    return filters
