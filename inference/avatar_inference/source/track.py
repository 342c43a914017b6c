"""From looks at some pictures to steady numbers about a face in all: bridged, interpolated, smoothed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from avatar_inference.source.faces import overlap
from avatar_inference.source.scan import Look, Scan

_BRIDGED_US = 500_000
"""A face missed for no longer than this, and found again in the same place, was there all the time."""
_SAME_PLACE = 0.3
_SMOOTHING_US = 80_000
"""Standard deviation of the Gaussian that takes the finder's jitter out."""

Row = NDArray[np.floating[Any]]
"""Numbers about one face, of one length for all pictures."""
T = TypeVar("T")


def settle(scan: Scan[T], row: Callable[[Look[T]], Row]) -> list[Row | None]:
    """The followed face's numbers in every picture; None where it is not to be seen.

    Args:
        scan: what was seen.
        row: the numbers of a look that saw the face.
    """
    rows: list[Row | None] = [None] * len(scan.times_us)
    hits = [(number, look) for number, look in enumerate(scan.looks) if look.face is not None]
    for _, look in hits:
        rows[look.picture] = row(look)
    for (before_number, before), (after_number, after) in pairwise(hits):
        missed = after_number - before_number > 1
        if _connected(before, after, scan.cuts, missed):
            _interpolate(rows, scan.times_us, before.picture, after.picture)
    return smoothed(rows, scan.times_us, scan.cuts)


def smoothed(rows: Sequence[Row | None], times_us: Sequence[int], cuts: Sequence[int]) -> list[Row | None]:
    """Takes jitter out of numbers without delaying them, within each unbroken stretch of one shot.

    Args:
        rows: one of each picture, None where there is no face.
        times_us: when each picture is shown, microseconds.
        cuts: pictures that begin a new shot.
    """
    smooth = list(rows)
    for first, last in _stretches(rows, cuts):
        smooth[first:last] = _smoothed(np.array(rows[first:last]), np.array(times_us[first:last]))
    return smooth


def _connected(before: Look[T], after: Look[T], cuts: tuple[int, ...], missed: bool) -> bool:
    """Whether the face was there all the time between two looks that saw one and others that missed it."""
    assert before.face is not None
    assert after.face is not None
    if bisect_right(cuts, before.picture) != bisect_right(cuts, after.picture):
        return False
    shared = overlap(before.face, after.face)
    if missed:
        return after.time_us - before.time_us <= _BRIDGED_US and shared > _SAME_PLACE
    return shared > 0


def _interpolate(rows: list[Row | None], times_us: tuple[int, ...], before: int, after: int) -> None:
    start, end = rows[before], rows[after]
    assert start is not None
    assert end is not None
    for picture in range(before + 1, after):
        part = (times_us[picture] - times_us[before]) / (times_us[after] - times_us[before])
        rows[picture] = start + part * (end - start)


def _stretches(rows: Sequence[Row | None], cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Unbroken stretches with a face within one shot, as [first, last)."""
    first: int | None = None
    for picture, row in enumerate([*rows, None]):
        if first is not None and (row is None or picture in cuts):
            yield first, picture
            first = None
        if first is None and row is not None:
            first = picture


def _smoothed(rows: Row, times_us: NDArray[np.integer[Any]]) -> list[Row]:
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
