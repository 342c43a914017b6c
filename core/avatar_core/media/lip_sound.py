"""Sound as lip engines hear it: 16 kHz, mono, float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar_core.limits import LIP_RATE
from avatar_core.media.resample import Resampler


class LipResampler:
    """Converts one stream of s16 sound to 16 kHz mono; results depend on sample positions and flushes alone.

    Args:
        rate: samples per second of the source, 8000 to 48000.
        channels: 1 or 2; two are averaged.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._channels = channels
        self._resampler = Resampler(rate, LIP_RATE, 1)

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Takes int16 [n, channels] that follow; returns float32 [m], -1..1, which is final."""
        mixed = samples.sum(axis=1, dtype=np.int32, keepdims=True)
        return self._level(self._resampler.push(mixed))

    def flush(self) -> NDArray[np.float32]:
        """The rest as if silence followed: floor(samples * 16000 / rate) in all. Sound may follow."""
        return self._level(self._resampler.flush())

    def _level(self, sums: NDArray[np.float32]) -> NDArray[np.float32]:
        return sums[:, 0] / np.float32(self._channels)
