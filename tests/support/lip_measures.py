"""Do these lips say what is heard? Numbers from a mouth's trajectory and the phonemes that were spoken.

The trajectory is plain arrays, one value a frame, in any unit, so it may come from a listener's numbers or
from pixels of a decoded video. A frame counts for the phoneme that is heard at the middle of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Phonemes = Sequence[tuple[float, float, str]]
"""(start, end, ipa) in seconds; "" is a pause."""
Trajectory = NDArray[np.float64]

LONG_PAUSE_S = 0.3
PAUSE_EDGE_S = 0.1
"""Lips may close and open this long at a pause's edges."""
VISIBLE_CLOSURE_S = 0.06

_OPEN, _ROUND, _WIDE, _CLOSED = "aɑæʌɐ", "uowʊ", "ie", "mbp"
_HEIGHT_OF_VOWELS = {  # the IPA chart's rows, from close to open
    0.25: "iyɨʉɯujw",
    0.35: "ɪʏʊ",
    0.45: "eøɘɵɤo",
    0.55: "ə",
    0.65: "ɛœɜɞʌɔɚɝᵻ",
    0.85: "æɐ",
    1.0: "aɶɑɒ",
}
_OPENNESS = {letter: height for height, letters in _HEIGHT_OF_VOWELS.items() for letter in letters}
_CONSONANT, _LABIODENTAL = 0.25, 0.1


@dataclass(frozen=True, slots=True)
class LipMeasures:
    """What was measured.

    Attributes:
        open_vowels, closures: mean opening over open vowels and over m, b, p, as shares of `full`.
        rounded, wide: mean width over mean height of the mouth in u, o, w and in i, e.
        lag_ms: how much later the lips are than the sound, milliseconds.
        correlation: with the reference opening, at that lag.
        pauses: the widest opening inside any pause over 0.3 s, as a share of `full`; 0 without pauses.
        closures_seen: share of m, b, p over 60 ms during which some frame opens by less than 15 % of `full`.
        peak: 95th percentile of opening in open vowels, as a share of `full`.
    """

    open_vowels: float
    closures: float
    rounded: float
    wide: float
    lag_ms: float
    correlation: float
    pauses: float
    closures_seen: float
    peak: float

    @property
    def contrast(self) -> float:
        """Opening over open vowels to opening over m, b, p."""
        return self.open_vowels / max(self.closures, 1e-9)

    @property
    def rounding(self) -> float:
        """Width/height over u, o, w to width/height over i, e."""
        return self.rounded / max(self.wide, 1e-9)


def measure(
    opening: ArrayLike,
    width: ArrayLike,
    height: ArrayLike,
    fps: float,
    phonemes: Phonemes,
    *,
    full: float,
    offset_s: float = 0.0,
) -> LipMeasures:
    """Measures a trajectory.

    Args:
        opening: [F], distance of the lips; 0 is closed.
        width, height: [F], of the mouth with its lips, in one unit.
        fps: frames per second.
        phonemes: what was spoken when.
        full: the opening that counts as 100 %.
        offset_s: when the speech starts in the video, such as the lead-in.
    """
    opened = np.asarray(opening, np.float64) / full
    wide, high = np.asarray(width, np.float64), np.asarray(height, np.float64)
    times: Trajectory = (np.arange(len(opened), dtype=np.float64) + 0.5) / fps - offset_s
    heard = [_phoneme_at(phonemes, time) for time in times]
    vowels, closed = _frames(heard, _is_open), _frames(heard, _starts_with(_CLOSED))
    rounded, spread = _frames(heard, _starts_with(_ROUND)), _frames(heard, _starts_with(_WIDE))
    lag, correlation = lag_ms(opened, times, phonemes)
    return LipMeasures(
        open_vowels=float(opened[vowels].mean()),
        closures=float(opened[closed].mean()),
        rounded=float(wide[rounded].mean() / high[rounded].mean()),
        wide=float(wide[spread].mean() / high[spread].mean()),
        lag_ms=lag,
        correlation=correlation,
        pauses=_widest_in_pauses(opened, times, phonemes),
        closures_seen=_closures_seen(opened, times, fps, phonemes),
        peak=float(np.percentile(opened[vowels], 95)),
    )


def reference_opening(phonemes: Phonemes, times: Trajectory) -> Trajectory:
    """How far a mouth would open, 0..1: the vowels' height on the IPA chart, smoothed over 100 ms."""
    grid, curve = _reference_curve(phonemes)
    return np.interp(times, grid, curve)


def lag_ms(opening: Trajectory, times: Trajectory, phonemes: Phonemes) -> tuple[float, float]:
    """The shift, in milliseconds, at which the reference fits best, and the correlation there.

    The reference is known at any time, so the correlation is computed at every millisecond, and no grid of
    frames limits the resolution. Positive: the lips are late.
    """
    grid, curve = _reference_curve(phonemes)
    shifts = np.arange(-150, 151)
    fits = [_correlation(opening, np.interp(times - shift / 1000, grid, curve)) for shift in shifts]
    best = int(np.argmax(fits))
    return float(shifts[best]), fits[best]


def _reference_curve(phonemes: Phonemes) -> tuple[Trajectory, Trajectory]:
    """Times 5 ms apart and the reference opening there; closed before and after."""
    grid: Trajectory = np.arange(phonemes[0][0] - 0.5, phonemes[-1][1] + 0.5, 0.005, dtype=np.float64)
    starts = np.array([start for start, _, _ in phonemes])
    openness = np.array([0.0, *(_openness(name) for _, _, name in phonemes)])
    steps = np.where(grid < phonemes[-1][1], openness[np.searchsorted(starts, grid, side="right")], 0.0)
    kernel = np.hanning(21)
    return grid, np.convolve(steps, kernel / kernel.sum(), mode="same")


def _correlation(a: Trajectory, b: Trajectory) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(1e-12, float(np.sqrt((a * a).sum() * (b * b).sum()))))


def _phoneme_at(phonemes: Phonemes, time: float) -> str | None:
    """What is heard at a time; None outside of the speech."""
    return next((name for start, end, name in phonemes if start <= time < end), None)


def _frames(heard: list[str | None], belongs: Callable[[str], bool]) -> NDArray[np.bool_]:
    return np.array([name is not None and name != "" and belongs(name) for name in heard])


def _starts_with(letters: str) -> Callable[[str], bool]:
    return lambda name: name[0] in letters


def _is_open(name: str) -> bool:
    return name[0] in _OPEN


def _openness(name: str) -> float:
    """Openness of the most open part: in a diphthong "a" is as open as alone."""
    if not name:
        return 0.0
    if name[0] in _CLOSED:
        return 0.0
    if name[0] in "fv":
        return _LABIODENTAL
    return max((_OPENNESS.get(letter, _CONSONANT) for letter in name), default=_CONSONANT)


def _widest_in_pauses(opened: Trajectory, times: Trajectory, phonemes: Phonemes) -> float:
    widest = 0.0
    for start, end, name in _joined_pauses(phonemes):
        inside = (times > start + PAUSE_EDGE_S) & (times < end - PAUSE_EDGE_S)
        if name == "" and end - start > LONG_PAUSE_S and inside.any():
            widest = max(widest, float(opened[inside].max()))
    return widest


def _joined_pauses(phonemes: Phonemes) -> list[tuple[float, float, str]]:
    """The phonemes, pauses in a row made one."""
    joined: list[tuple[float, float, str]] = []
    for start, end, name in phonemes:
        if joined and name == joined[-1][2] == "":
            joined[-1] = (joined[-1][0], end, "")
        else:
            joined.append((start, end, name))
    return joined


def _closures_seen(opened: Trajectory, times: Trajectory, fps: float, phonemes: Phonemes) -> float:
    seen = []
    for start, end, name in phonemes:
        if name and name[0] in _CLOSED and end - start > VISIBLE_CLOSURE_S:
            shown = (times + 0.5 / fps > start) & (times - 0.5 / fps < end)
            seen.append(bool(shown.any()) and float(opened[shown].min()) < 0.15)
    return float(np.mean(seen)) if seen else 1.0
