"""From looks at some pictures to a steady face in every picture: interpolated, bridged, smoothed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar_inference.preview.faces import overlap
from avatar_inference.preview.parting import Mouth
from avatar_inference.preview.scan import Look, Scan

_BRIDGED_US = 500_000
"""A face missed for no longer than this, and found again in the same place, was there all the time."""
_SAME_PLACE = 0.3
_SMOOTHING_US = 80_000
"""Standard deviation of the Gaussian that takes the finder's jitter out."""

_Row = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Face:
    """A face in one picture: its width and its mouth, in pixels of the picture."""

    width: float
    mouth: Mouth


def settle_faces(scan: Scan) -> list[Face | None]:
    """The followed face in every picture; None where it is not to be seen."""
    rows: list[_Row | None] = [None] * len(scan.times_us)
    hits = [(number, look) for number, look in enumerate(scan.looks) if look.face is not None]
    for _, look in hits:
        rows[look.picture] = _row(look)
    for (before_number, before), (after_number, after) in pairwise(hits):
        missed = after_number - before_number > 1
        if _connected(before, after, scan.cuts, missed):
            _interpolate(rows, scan.times_us, before, after)
    smooth: list[_Row | None] = list(rows)
    for first, last in _stretches(rows, scan.cuts):
        smooth[first:last] = _smoothed(np.array(rows[first:last]), np.array(scan.times_us[first:last]))
    return [None if row is None else Face(float(row[0]), Mouth(*map(float, row[1:]))) for row in smooth]


def _row(look: Look) -> _Row:
    assert look.face is not None
    assert look.mouth is not None
    mouth = look.mouth
    return np.array([look.face.width, mouth.x, mouth.y, mouth.half_width, mouth.tilt, mouth.sag, mouth.teeth])


def _connected(before: Look, after: Look, cuts: tuple[int, ...], missed: bool) -> bool:
    """Whether the face was there all the time between two looks that saw one and others that missed it."""
    assert before.face is not None
    assert after.face is not None
    if bisect_right(cuts, before.picture) != bisect_right(cuts, after.picture):
        return False
    shared = overlap(before.face, after.face)
    if missed:
        return after.time_us - before.time_us <= _BRIDGED_US and shared > _SAME_PLACE
    return shared > 0


def _interpolate(rows: list[_Row | None], times_us: tuple[int, ...], before: Look, after: Look) -> None:
    start, end = _row(before), _row(after)
    for picture in range(before.picture + 1, after.picture):
        part = (times_us[picture] - before.time_us) / (after.time_us - before.time_us)
        rows[picture] = start + part * (end - start)


def _stretches(rows: list[_Row | None], cuts: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Unbroken stretches with a face within one shot, as [first, last)."""
    first: int | None = None
    for picture, row in enumerate([*rows, None]):
        if first is not None and (row is None or picture in cuts):
            yield first, picture
            first = None
        if first is None and row is not None:
            first = picture


def _smoothed(rows: NDArray[np.floating[Any]], times_us: NDArray[np.integer[Any]]) -> list[_Row]:
    """Local lines fitted by Gaussian weights: unlike a mean they do not lag at the ends of a movement."""
    reach = 4 * _SMOOTHING_US
    starts, ends = (
        np.searchsorted(times_us, times_us - reach),
        np.searchsorted(times_us, times_us + reach, "right"),
    )
    smooth = []
    for now, start, end in zip(times_us, starts, ends, strict=True):
        apart = (times_us[start:end] - now) / _SMOOTHING_US
        weights = np.exp(-0.5 * apart**2)
        weights /= weights.sum()
        slope = weights @ apart
        lever = apart - slope
        spread = max(float(weights @ lever**2), 1e-9)
        smooth.append((weights * (1 - slope * lever / spread)) @ rows[start:end])
    return smooth
