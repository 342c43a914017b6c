"""Listening for lips: 16 kHz sound becomes one `MouthShape` a video frame.

    sound -> spectra against the speech level -> likely visemes -> blended mouth, every 10 ms -> one a frame

Frame i shows the mouth in the middle of the time it covers, (i + 0.5) / fps. All smoothing is symmetric in
time, so nothing lags; the price is looking ahead, at most 116 ms beyond the end of a frame.

Why a learned map and not formants: LPC of order 16, F1 for the opening and F2 for the corners, opens 3 to 5
times as far for "a" as for "b" and shows 33 to 71 % of the lips' closures in espeak-ng's speech; visemes open
more than 13 times as far and show 92 % or more. In a recorded reader's voice that neither had heard, the
opening correlates with the phonemes' by 0.44 (formants) and 0.68 (visemes).
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
_REACH = 6
"""Spectra to both sides of a frame's middle that colour it: lips take some 60 ms to open or to close."""


class LipListener:
    """A `FeatureStream` of `MouthShape`. Memory is constant; results do not depend on the chunking.

    Args:
        fps: frames per second, 12 to 30.
    """

    def __init__(self, fps: Fraction) -> None:
        self._spectra_per_frame = LIP_RATE / fps / HOP
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

    @property
    def engine_seconds(self) -> float:
        """0: it hears on the CPU."""
        return 0.0

    def flush(self, frames: int, *, last: bool = False) -> Sequence[MouthShape]:
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
        known = self._first + len(self._pulls)
        while limit is None or self._frame < limit:
            middle = self._spectra_per_frame * (self._frame + Fraction(1, 2)) - Fraction(HALF_WINDOW, HOP)
            begin, end = max(0, ceil(middle - _REACH)), floor(middle + _REACH) + 1
            if end > known:
                self._forget(begin)
                break
            weights = 1 + np.cos(np.pi / _REACH * (np.arange(begin, end) - float(middle)))
            shapes.append(blend(self._pulls[begin - self._first : end - self._first], weights))
            self._frame += 1
        return shapes

    def _forget(self, before: int) -> None:
        count = max(0, min(before - self._first, len(self._pulls)))
        self._pulls, self._first = self._pulls[count:], self._first + count
