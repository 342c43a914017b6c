"""Listening for lips: 16 kHz sound becomes one `MouthShape` a video frame.

    sound -> spectra against the speech level -> likely visemes -> blended mouth, every 10 ms -> one a frame

Frame i shows the mouth in the middle of the time it covers, (i + 0.5) / fps. All smoothing is symmetric in
time, so nothing lags; the price is looking ahead, at most 116 ms beyond the end of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from avatar_core.limits import LIP_RATE
from avatar_inference.preview.classifier import AHEAD, BEHIND, contexts, posteriors
from avatar_inference.preview.mouth import MouthShape
from avatar_inference.preview.spectrum import HALF_WINDOW, HOP, QUIETEST_DB, band_energies, speech_levels
from avatar_inference.preview.visemes import PULLS, blend, pulls

_PIECE = LIP_RATE
"""Longer sound is heard in pieces of a second, to bound memory."""
_REACH_S = Fraction(1, 20)
"""What lies this far from a frame's middle still colours it."""
_REACH_FRAMES = Fraction(7, 10)
"""At low rates that much of a frame, lest a quick "b" fall between two frames."""


class LipListener:
    """A `FeatureStream` of `MouthShape`. Memory is constant; results do not depend on the chunking.

    Args:
        fps: frames per second, 12 to 30.
    """

    def __init__(self, fps: Fraction) -> None:
        self._samples_per_frame = LIP_RATE / fps
        self._reach = max(_REACH_S * LIP_RATE, _REACH_FRAMES * self._samples_per_frame)
        self._sound = np.empty(0, np.float32)  # not yet in a spectrum, from the start of the next window
        self._bands: NDArray[np.float64] | None = None  # the newest spectra, the next context's past
        self._level = QUIETEST_DB
        self._pulls: NDArray[np.float64] = np.empty((0, PULLS))  # of spectra from number _first on
        self._first = -AHEAD
        self._frame = 0

    def push(self, samples: NDArray[np.float32]) -> Sequence[MouthShape]:
        """Takes float32 [n], -1..1, 16 kHz mono; returns the mouths of frames now heard out."""
        shapes: list[MouthShape] = []
        for at in range(0, len(samples), _PIECE):
            self._hear(samples[at : at + _PIECE])
            shapes += self._shapes()
        return shapes

    def flush(self, frames: int) -> Sequence[MouthShape]:
        """Returns the mouths missing up to `frames` in all, as if silence followed; sound may follow."""
        shapes: list[MouthShape] = []
        ahead = copy(self)  # arrays are never changed in place, so a shallow copy is a fork
        while ahead._frame < frames:
            ahead._hear(np.zeros(_PIECE, np.float32))
            shapes += ahead._shapes(frames)
        self._frame = ahead._frame
        return shapes

    def _hear(self, samples: NDArray[np.float32]) -> None:
        """Takes in sound as far as whole windows go."""
        sound = np.concatenate([self._sound, samples])
        count = max(0, (len(sound) - 2 * HALF_WINDOW) // HOP + 1)
        self._sound = sound[count * HOP :]
        if not count:
            return
        new = band_energies(sound[: (count - 1) * HOP + 2 * HALF_WINDOW])
        levels = speech_levels(new, self._level)
        # Before the first sample it sounded as it does then: noise from the start is no onset.
        past = new[:1].repeat(BEHIND + AHEAD, axis=0) if self._bands is None else self._bands
        bands = np.concatenate([past, new])
        self._level, self._bands = float(levels[-1]), bands[count:]
        self._pulls = np.concatenate([self._pulls, pulls(posteriors(contexts(bands, levels)))])

    def _shapes(self, limit: int | None = None) -> list[MouthShape]:
        """The mouths of frames whose surroundings are known, below frame `limit`."""
        shapes: list[MouthShape] = []
        begin, end = self._surroundings()
        while end <= self._first + len(self._pulls) and (limit is None or self._frame < limit):
            distances = (np.arange(begin, end) * HOP + HALF_WINDOW - self._middle()) / float(self._reach)
            weights = 1 + np.cos(np.pi * distances)
            shapes.append(blend(self._pulls[begin - self._first : end - self._first], weights))
            self._frame += 1
            begin, end = self._surroundings()
        forgotten = max(0, min(begin - self._first, len(self._pulls)))
        self._pulls, self._first = self._pulls[forgotten:], self._first + forgotten
        return shapes

    def _middle(self) -> float:
        """Sample in the middle of the next frame."""
        return float((self._frame + Fraction(1, 2)) * self._samples_per_frame)

    def _surroundings(self) -> tuple[int, int]:
        """Numbers of the first spectrum that colours the next frame and of the one after the last."""
        middle = (self._frame + Fraction(1, 2)) * self._samples_per_frame - HALF_WINDOW
        return max(0, ceil((middle - self._reach) / HOP)), floor((middle + self._reach) / HOP) + 1
