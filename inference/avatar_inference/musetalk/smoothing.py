"""A box that rests while the face rests and follows it without delay; ends where a motion may turn round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar_inference.musetalk.facebox import Corners
from avatar_inference.musetalk.landmarks import FacePoints
from avatar_inference.source.track import smoothed

STILL_PIXELS, STILL_PART = 2.0, 1 / 64
"""Edges that stay within so many pixels, or this part of the face's height, do not move."""
_TRIM_US, _TRIM_PART = 500_000, 0.125
"""So much may be cut off at either end: of time, and of the whole."""
_CALMER = 0.5
"""Nothing is cut off for less than this part of the speed."""
_REST = 0.02
"""Faces a second; slower is at rest already."""


def smooth_points(
    points: Sequence[FacePoints | None], times_us: Sequence[int], cuts: Sequence[int]
) -> list[FacePoints | None]:
    """Takes jitter out of points, as `source.track.smoothed`: no delay, nothing carried over cuts or gaps."""
    rows = [None if one is None else one.ravel() for one in points]
    return [
        None if row is None else np.asarray(row, np.float64).reshape(-1, 2)
        for row in smoothed(rows, times_us, cuts)
    ]


def still_runs(edges: Sequence[Corners | None], cuts: Sequence[int]) -> list[range]:
    """Parts a motion into runs of pictures that can share one box, as long as possible from the start.

    Within a run every edge stays within 2 pixels or a 64th of the face's height, whichever is more; so a face
    at rest has one box however it is measured, and a moving one is followed within half of that.

    Args:
        edges: the face of each picture; None where there is none.
        cuts: pictures that begin a new shot.

    Returns:
        Ranges of pictures with a face, ascending, without a gap but where there is no face.
    """
    runs: list[range] = []
    low = high = np.zeros(4)
    room = 0.0
    for picture, face in enumerate(edges):
        if face is None:
            continue
        now = np.array(face, np.float64)
        wider = np.minimum(low, now), np.maximum(high, now)
        joins = runs and runs[-1].stop == picture and picture not in cuts
        if joins and float((wider[1] - wider[0]).max()) <= room:
            runs[-1] = range(runs[-1].start, picture + 1)
            low, high = wider
        else:
            runs.append(range(picture, picture + 1))
            low = high = now
            room = max(STILL_PIXELS, STILL_PART * (face.bottom - face.top))
    return runs


def middle(edges: Sequence[Corners]) -> Corners:
    """Half-way between the extremes of each edge."""
    numbers = np.array(edges, np.float64)
    return Corners(*((numbers.min(axis=0) + numbers.max(axis=0)) / 2).tolist())


def calm_ends(points: Sequence[FacePoints | None], times_us: Sequence[int]) -> range:
    """Which pictures to keep so that the motion, played forth and back, turns round at rest.

    At either end up to half a second, or an eighth of the whole, is cut off, to the picture with the least
    speed there, if the end itself is not at rest and at least twice as fast.

    Args:
        points: of each picture, smoothed; an end without a face is left alone.
        times_us: of each picture.
    """
    room = min(_TRIM_US, int(times_us[-1] * _TRIM_PART))
    times = np.array(times_us, np.float64)
    first = int(np.searchsorted(times, room, "right"))
    last = int(np.searchsorted(times, times[-1] - room, "left"))
    start = _calmest(_speeds(points, times, range(first)))
    end = _calmest(_speeds(points, times, range(len(times) - 1, last - 1, -1)))
    return range(start, len(times) - end)


def _speeds(
    points: Sequence[FacePoints | None], times: NDArray[np.float64], pictures: range
) -> NDArray[np.float64]:
    """Mean speed of the points in faces' heights a second, in each picture; infinite where not known."""
    speeds = [_speed(points, times, picture) for picture in pictures]
    return np.array(speeds, np.float64)


def _speed(points: Sequence[FacePoints | None], times: NDArray[Any], picture: int) -> float:
    before, after = max(picture - 1, 0), min(picture + 1, len(points) - 1)
    one, other = points[before], points[after]
    if before == after or one is None or other is None or points[picture] is None:
        return float("inf")
    way = float(np.sqrt(((other - one) ** 2).sum(axis=1)).mean()) / max(float(np.ptp(one[:, 1])), 1.0)
    return way / float(times[after] - times[before]) * 1e6


def _calmest(speeds: NDArray[np.float64]) -> int:
    """How many pictures to cut off, from speeds that begin at the end itself."""
    if not len(speeds) or not np.isfinite(speeds[0]) or speeds[0] <= _REST:
        return 0
    best = int(np.argmin(speeds))
    return best if speeds[best] < _CALMER * speeds[0] else 0
