from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.landmarks import ASTRONAUT

from avatar_inference.musetalk.pose import extreme_poses, tilt, turn


def head(yaw: float) -> NDArray[np.float64]:
    """The portrait's points on half a cylinder, the nose before it, turned by so many degrees."""
    centre = (ASTRONAUT[0, 0] + ASTRONAUT[16, 0]) / 2
    half = (ASTRONAUT[16, 0] - ASTRONAUT[0, 0]) / 2
    across = (ASTRONAUT[:, 0] - centre) / half
    depth = 0.5 * np.sqrt(np.clip(1 - across**2, 0, None))
    depth[27:36] += 0.25
    angle = np.radians(yaw)
    x = centre + half * (across * np.cos(angle) + depth * np.sin(angle))
    return np.stack([x, ASTRONAUT[:, 1]], axis=1)


def rolled(degrees: float) -> NDArray[np.float64]:
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return ASTRONAUT @ matrix


def test_a_face_from_the_front_is_not_turned() -> None:
    assert abs(turn(ASTRONAUT)) < 0.1
    assert abs(tilt(ASTRONAUT)) < 5


@pytest.mark.parametrize("degrees", [-60, -20, 0, 20, 60])
def test_the_tilt_is_measured(degrees: float) -> None:
    assert tilt(rolled(degrees)) == pytest.approx(degrees + tilt(ASTRONAUT), abs=1e-6)
    assert turn(rolled(degrees)) == pytest.approx(turn(ASTRONAUT))


def test_the_more_a_face_is_turned_the_more_it_is_off() -> None:
    turns = [turn(head(yaw)) for yaw in (-50, -30, -10, 0, 10, 30, 50)]
    assert turns == sorted(turns)
    assert abs(turn(head(25))) < 0.6 < abs(turn(head(50)))


def test_stretches_of_extreme_poses_are_named() -> None:
    points = [ASTRONAUT] * 5 + [head(55)] * 4 + [None] * 2 + [rolled(40)] * 3
    found = [(f.reason, f.first_picture, f.last_picture) for f in extreme_poses(points)]
    assert found == [("ExtremePose", 5, 8), ("ExtremePose", 11, 13)]
    many = [ASTRONAUT if number % 2 else head(60) for number in range(80)]
    (one,) = extreme_poses(many)
    assert (one.first_picture, one.last_picture) == (0, 78)
    assert one.message.startswith("40 stretches in pictures 0 to 78")
