from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.landmarks import ASTRONAUT

from avatar_inference.bundle import Box, Mask
from avatar_inference.compositor import paste
from avatar_inference.musetalk.facebox import corners, lowered, within
from avatar_inference.musetalk.polygon import RAMP, polygon_mask


def placed(points: NDArray[np.float64], width: int = 2000, height: int = 2000) -> Box:
    face = lowered(corners(points), 10, height)
    box = within(face, width, height)
    assert box is not None
    return box


def hard(points: NDArray[np.float64], box: Box) -> Mask:
    """The same part of the face, without a soft border."""
    mask = np.zeros((box.height, box.width), np.uint8)
    line = np.concatenate([points[2:15], points[35:30:-1]]) - (box.x, box.y)
    cv2.fillPoly(mask, [np.round(line).astype(np.int32)], 255)
    return mask


def steepest(mask: Mask, box: Box) -> float:
    """The largest step between neighbours when a face 60 levels brighter is pasted."""
    picture = np.full((box.y + box.height + 40, box.x + box.width + 40, 3), 90, np.uint8)
    drawn = np.full((box.height, box.width, 3), 150, np.uint8)
    pasted = paste(picture, drawn, box, mask)[..., 0].astype(float)
    return max(np.abs(np.diff(pasted, axis=0)).max(), np.abs(np.diff(pasted, axis=1)).max())


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_no_seam_shows(scale: int) -> None:
    points = ASTRONAUT * scale
    box = placed(points)
    ramp = RAMP * min(box.width, box.height)
    assert steepest(hard(points, box), box) == 60
    # 3t² - 2t³ rises by at most 1.5 in a ramp; diagonal distances grow by as much.
    soft = steepest(polygon_mask(points, box), box)
    assert soft <= 60 * 1.5 / ramp + 1.5
    assert soft < 60 / 4


def turned(points: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    centre = points.mean(axis=0)
    return (points - centre) @ np.array([[cosine, sine], [-sine, cosine]]) + centre


@settings(deadline=None, max_examples=40)
@given(
    scale=st.floats(0.7, 5),
    degrees=st.floats(-25, 25),
    squeeze=st.floats(0.6, 1.2),
    open_by=st.floats(0, 0.25),
)
def test_the_mouth_is_covered_and_the_border_is_empty(
    scale: float, degrees: float, squeeze: float, open_by: float
) -> None:
    points = ASTRONAUT * (scale * squeeze, scale)
    points[5:12, 1] += open_by * scale * 40
    points[55:60, 1] += open_by * scale * 40
    points = turned(points, degrees)
    box = placed(points)
    mask = polygon_mask(points, box)
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()
    assert not mask[: box.height // 2].any()
    lips = np.zeros_like(mask)
    cv2.fillPoly(lips, [np.round(points[48:60] - (box.x, box.y)).astype(np.int32)], 255)
    lips[: box.height // 2 + round(RAMP * min(box.width, box.height)) + 2] = 0
    lips = cv2.erode(lips, np.ones((3, 3), np.uint8))
    assert lips.any()
    assert mask[lips > 0].min() >= 250


def test_the_nose_and_the_eyes_are_not_touched() -> None:
    points = ASTRONAUT * 3
    box = placed(points)
    mask = polygon_mask(points, box)
    for x, y in points[[27, 28, 29, 30, *range(36, 48)]]:
        assert mask[round(y - box.y), round(x - box.x)] == 0
    chin = points[8] - (box.x, box.y)
    assert mask[round(chin[1]) - 20, round(chin[0])] == 255
    assert 20 < mask[round(chin[1]), round(chin[0])] < 235


def test_a_face_cut_off_by_the_picture_has_a_mask_within_it() -> None:
    points = ASTRONAUT - (215, 0)
    box = placed(points)
    assert box.x == 0
    mask = polygon_mask(points, box)
    assert mask.shape == (box.height, box.width)
    assert mask.max() == 255
    assert not mask[:, 0].any()


def test_points_far_away_are_no_trouble() -> None:
    assert not polygon_mask(ASTRONAUT + 1e6, Box(0, 0, 64, 64)).any()
