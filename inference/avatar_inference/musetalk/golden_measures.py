"""How alike two renders are, and how late the lips are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar_core.limits import LIP_RATE

BEST_DB = 100.0
"""Told of pictures without any difference."""
LAG_MAX = 300
"""Milliseconds that are looked at to either side."""
_STEP = LIP_RATE // 200
_QUIET_DB = -40.0


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of two renders.

    Attributes:
        frames: compared.
        psnr_db: peak signal-to-noise ratio over all frames.
        worst_psnr_db: of the frame that differs most.
        mean_levels: mean absolute difference, of 255 levels.
    """

    frames: int
    psnr_db: float
    worst_psnr_db: float
    mean_levels: float


def likeness(pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Likeness:
    """Compares pictures, pair by pair.

    Args:
        pairs: at least one; uint8, the two of a pair of the same shape.
    """
    squares, levels = [], []
    for ours, theirs in pairs:
        difference = ours.astype(np.int32) - theirs
        squares.append(float((difference * difference).mean()))
        levels.append(float(np.abs(difference).mean()))
    return Likeness(len(squares), _psnr(float(np.mean(squares))), _psnr(max(squares)), float(np.mean(levels)))


def _psnr(square: float) -> float:
    return min(BEST_DB, 10 * float(np.log10(255 * 255 / max(square, 1e-9))))


@dataclass(frozen=True, slots=True)
class Lag:
    """Of the lips behind the sound.

    Attributes:
        milliseconds: positive: the lips are late.
        correlation: of opening and loudness there; below about 0.3 the lag says nothing.
    """

    milliseconds: float
    correlation: float


def lag(openings: NDArray[np.float64], fps: float, sound: NDArray[np.float32]) -> Lag:
    """The shift at which the mouth's opening follows the loudness best.

    Loudness is known at any time, so no grid of frames limits the resolution. It is a stand-in for how far a
    speaker opens the mouth: good to a few tens of milliseconds, the same for whatever draws the lips.

    Args:
        openings: float64 [frames], of any unit, at the frames' middles.
        fps: frames a second.
        sound: float32 [n], 16 kHz, that belongs to the frames.
    """
    times = (np.arange(len(openings)) + 0.5) / fps
    grid, loud = _loudness(sound)
    shifts = np.arange(-LAG_MAX, LAG_MAX + 1)
    fits = [_correlation(openings, np.interp(times - shift / 1000, grid, loud)) for shift in shifts]
    best = int(np.argmax(fits))
    return Lag(float(shifts[best]), fits[best])


def _loudness(sound: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times 5 ms apart, and 0..1 for 40 dB below the loudest up to it, smoothed over 100 ms."""
    whole = np.pad(sound, (0, -len(sound) % _STEP)).reshape(-1, _STEP).astype(np.float64)
    power = np.maximum((whole * whole).mean(axis=1), 1e-12)
    decibels = 10 * np.log10(power / power.max())
    kernel = np.hanning(21)
    level = np.convolve(np.clip(1 - decibels / _QUIET_DB, 0, 1), kernel / kernel.sum(), mode="same")
    return (np.arange(len(level)) + 0.5) * _STEP / LIP_RATE, level


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(1e-12, float(np.sqrt((a * a).sum() * (b * b).sum()))))
