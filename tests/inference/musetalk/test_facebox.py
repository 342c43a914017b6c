from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.landmarks import ASTRONAUT

from avatar_inference.bundle import Box
from avatar_inference.musetalk.facebox import (
    Corners,
    corners,
    default_margin,
    face_corners,
    lowered,
    shift_range,
    within,
)

PORTRAIT = Corners(181, 55, 270, 179)


def test_the_nose_is_the_middle_and_the_chin_the_bottom() -> None:
    found = corners(ASTRONAUT.astype(np.int32))
    assert found == PORTRAIT
    assert all(type(edge) is int for edge in found)
    assert (found.top + found.bottom) / 2 == ASTRONAUT[29, 1]


def test_a_shift_moves_the_middle_and_leaves_the_points_alone() -> None:
    points = ASTRONAUT.astype(np.int32)
    for shift in (-9, 7):
        found = corners(points, shift)
        assert found == (181, 55 + 2 * shift, 270, 179)
        assert (found.top + found.bottom) / 2 == points[29, 1] + shift
    np.testing.assert_array_equal(points, ASTRONAUT.astype(np.int32))


def test_a_shift_beyond_the_chin_leaves_nothing() -> None:
    found = corners(ASTRONAUT.astype(np.int32), 100)
    assert found.bottom - found.top == 0
    assert face_corners(ASTRONAUT.astype(np.int32), Corners(1, 2, 3, 4), 100) == (1, 2, 3, 4)


def test_without_a_detected_face_there_is_none() -> None:
    assert face_corners(ASTRONAUT, None) is None


@given(shift=st.floats(-40, 40), by=st.tuples(st.integers(-150, 150), st.integers(-40, 150)))
def test_the_box_goes_where_the_face_goes(shift: float, by: tuple[int, int]) -> None:
    here, there = corners(ASTRONAUT, shift), corners(ASTRONAUT + by, shift)
    assert there.left - here.left == pytest.approx(by[0])
    assert there.bottom - here.bottom == pytest.approx(by[1])
    if there.top > 0 and here.top > 0:
        assert there.top - here.top == pytest.approx(by[1])


@pytest.mark.parametrize(
    ("size", "height", "margin"),
    [((640, 360), 200, 10), ((1280, 720), 700, 10), ((720, 1280), 500, 10), ((1920, 1080), 512, 20)],
)
def test_the_margin_grows_with_the_face_in_large_pictures(
    size: tuple[int, int], height: int, margin: int
) -> None:
    assert default_margin(Corners(0, 0, 100, height), *size) == margin
    large = Corners(0, 0, 100, 1000)
    assert default_margin(large, 3840, 2160) == round(1000 * 10 / 256)


def test_the_margin_ends_with_the_picture() -> None:
    assert lowered(PORTRAIT, 10, 512).bottom == 189
    assert lowered(PORTRAIT, 10, 183).bottom == 183


@given(
    left=st.floats(-400, 400),
    top=st.floats(-400, 400),
    width=st.floats(0, 600),
    height=st.floats(0, 600),
)
def test_what_is_left_lies_within_the_picture(left: float, top: float, width: float, height: float) -> None:
    box = within(Corners(left, top, left + width, top + height), 320, 240)
    if box is None:
        shown = max(min(left + width, 320) - max(left, 0), 0) * max(min(top + height, 240) - max(top, 0), 0)
        small = min(width, height, 320 - left, 240 - top, left + width, top + height) < 17.5
        assert small or shown <= 0.55 * width * height
        return
    assert box.x >= 0
    assert box.y >= 0
    assert box.x + box.width <= 320
    assert box.y + box.height <= 240
    assert min(box.width, box.height) >= 16


def test_a_face_within_the_picture_is_kept_as_it_is() -> None:
    assert within(PORTRAIT, 512, 512) == Box(181, 55, 89, 124)
    assert within(Corners(-60, 50, 40, 150), 512, 512) is None
    assert within(Corners(-40, 50, 60, 150), 512, 512) == Box(0, 50, 60, 100)


def test_shifts_that_stay_on_the_nose() -> None:
    assert shift_range([ASTRONAUT.astype(np.int32)]) == (-8, 8)
