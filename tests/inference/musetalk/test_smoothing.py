from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.landmarks import ASTRONAUT

from avatar_inference.musetalk.facebox import Corners, corners
from avatar_inference.musetalk.smoothing import (
    STILL_PART,
    STILL_PIXELS,
    calm_ends,
    middle,
    smooth_points,
    still_runs,
)

RATE_US = 40_000
Motion = list[NDArray[np.float64] | None]


def moved(right: float, down: float) -> NDArray[np.float64]:
    return ASTRONAUT + np.array([right, down])


def times(count: int) -> list[int]:
    return [RATE_US * number for number in range(count)]


def boxes(motion: Motion, cuts: tuple[int, ...] = ()) -> list[Corners | None]:
    """The box of each picture, as preparation chooses it."""
    smooth = smooth_points(motion, times(len(motion)), cuts)
    edges = [None if one is None else corners(one) for one in smooth]
    found: list[Corners | None] = [None] * len(motion)
    for run in still_runs(edges, cuts):
        face = middle([edge for edge in edges[run.start : run.stop] if edge is not None])
        found[run.start : run.stop] = [face] * len(run)
    return found


def jitter(count: int, step: float, seed: int) -> NDArray[np.float64]:
    """What a network says whose points lie on a grid of `step` pixels: each picks either neighbour."""
    return (np.random.default_rng(seed).integers(0, 2, (count, 68, 2)) - 0.5) * step


@settings(deadline=None, max_examples=20)
@given(count=st.integers(2, 120), scale=st.floats(0.8, 6))
def test_a_still_face_has_one_box(count: int, scale: float) -> None:
    (face,) = set(boxes([ASTRONAUT * scale] * count))
    assert face is not None
    assert np.abs(np.array(face) - np.array(corners(ASTRONAUT * scale))).max() < 1e-6


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), step=st.floats(0.3, 1.2))
def test_a_still_face_has_one_box_however_it_is_measured(seed: int, step: float) -> None:
    """A face 250 pixels high, its points on a grid, each picture's on either side of the truth by chance."""
    face = ASTRONAUT * 2
    found = set(boxes([face + noise for noise in jitter(100, step, seed)]))
    assert len(found) == 1


def test_a_coarse_grid_hardly_moves_the_box() -> None:
    """At 720p the landmark network's points come in steps of 2.8 pixels."""
    measured: Motion = [ASTRONAUT * 2 + noise for noise in jitter(100, 2.8, 1)]
    raw = [corners(np.trunc(one)) for one in measured if one is not None]
    assert sum(before != after for before, after in pairwise(raw)) > 80
    assert sum(before != after for before, after in pairwise(boxes(measured))) < 8


@settings(deadline=None, max_examples=30)
@given(speed=st.floats(-150, 150), scale=st.floats(1, 4), seed=st.integers(0, 100))
def test_a_moving_face_is_followed_without_delay(speed: float, scale: float, seed: int) -> None:
    places = [ASTRONAUT * scale + (400 + speed * time / 1e6, 0) for time in times(50)]
    wanted = np.array([corners(place) for place in places])
    found = np.array(boxes(list(places)), float)
    room = max(STILL_PIXELS, STILL_PART * float(wanted[0, 3] - wanted[0, 1]))
    assert np.abs(found - wanted).max() <= room / 2 + 1e-6
    # What is off is off to both sides alike, but for the last run, which may be cut short.
    assert abs((found - wanted)[:, 0].mean()) < room / 4
    measured = [place + noise for place, noise in zip(places, jitter(50, 2, seed), strict=True)]
    assert np.abs(np.array(boxes(measured), float) - wanted).max() <= room / 2 + 2.5


def test_a_nod_is_followed_at_its_turns() -> None:
    down = [20 * np.sin(2 * np.pi * time / 1.5e6) for time in times(75)]
    wanted = np.array([corners(ASTRONAUT * 2 + (0, by)) for by in down])
    found = np.array(boxes([ASTRONAUT * 2 + (0, by) for by in down]), float)
    assert np.abs(found - wanted)[8:-8].max() < 4
    lags = [np.abs(found[10:-10, 3] - np.roll(wanted[:, 3], lag)[10:-10]).mean() for lag in (-2, -1, 0, 1, 2)]
    assert int(np.argmin(lags)) == 2


def test_nothing_is_carried_over_a_cut_or_a_gap() -> None:
    there = moved(200, 40)
    here_box, there_box = corners(ASTRONAUT), corners(there)
    cut = boxes([ASTRONAUT] * 10 + [there] * 10, (10,))
    for face, wanted in zip(cut, [here_box] * 10 + [there_box] * 10, strict=True):
        assert face == pytest.approx(wanted)
    gap = boxes([ASTRONAUT] * 5 + [None] * 3 + [there] * 5)
    assert gap[5:8] == [None] * 3
    assert gap[4] == pytest.approx(here_box)
    assert gap[8] == pytest.approx(there_box)


def test_runs_hold_every_picture_with_a_face_once() -> None:
    edges = [None if n % 7 == 3 else Corners(n % 5, 0, 100, 100) for n in range(60)]
    runs = still_runs(edges, (20, 41))
    held = [number for run in runs for number in run]
    assert held == [number for number in range(60) if edges[number] is not None]
    assert all(cut not in run[1:] for run in runs for cut in (20, 41))


def swaying(count: int, phase: float) -> Motion:
    """A head that sways once in two seconds and is at rest where the phase says."""
    return [moved(30 * np.cos(2 * np.pi * (time / 2e6) + phase), 0) for time in times(count)]


def test_a_motion_is_cut_to_where_it_rests() -> None:
    # At rest after 0.24 s, and again before the end.
    motion = swaying(131, -2 * np.pi * 0.12)
    keep = calm_ends(motion, times(131))
    assert keep.start == 6
    speeds = [np.abs(b - a).max() for a, b in pairwise(motion)]
    assert speeds[keep.start] < 0.3 * max(speeds)
    assert speeds[keep.stop - 2] < 0.3 * max(speeds)
    assert 131 - keep.stop <= 12


@given(count=st.integers(1, 200), phase=st.floats(0, 6.28), still=st.booleans())
def test_no_more_than_half_a_second_or_an_eighth_is_cut_off(count: int, phase: float, still: bool) -> None:
    motion: Motion = [ASTRONAUT] * count if still else swaying(count, phase)
    keep = calm_ends(motion, times(count))
    last = times(count)[-1]
    allowed = min(500_000, last // 8)
    assert keep.start * RATE_US <= allowed
    assert last - (keep.stop - 1) * RATE_US <= allowed
    if still:
        assert keep == range(count)


def test_ends_without_a_face_are_left_alone() -> None:
    motion: Motion = [None, *swaying(98, 0.7), None]
    assert calm_ends(motion, times(100)) == range(100)
