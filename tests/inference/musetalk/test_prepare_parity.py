"""From points to the pasted picture, against MuseTalk's own code (see expected/make_prepare.py)."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.inference.musetalk.expected import prepare_cases as cases
from tests.inference.musetalk.expected import reading

from avatar_inference.bundle import Box, Bundle
from avatar_inference.compositor import paste
from avatar_inference.musetalk.crop import cut_face
from avatar_inference.musetalk.facebox import Corners, face_corners, lowered, shift_range, within
from avatar_inference.musetalk.mask import (
    OFFLINE_BLUR,
    cut_square,
    parser_mask,
    soften,
    speaking_part,
    square,
)
from avatar_inference.musetalk.windows import upstream_picture

Expected = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def expected() -> Expected:
    return reading.stored("prepare")


def ints(seed: int) -> NDArray[np.int32]:
    return cases.points(seed).astype(np.int32)


def box_of(corners: NDArray[Any]) -> Box:
    x, y, right, bottom = (int(edge) for edge in corners)
    return Box(x, y, right - x, bottom - y)


@pytest.mark.parametrize("shift", sorted(set(cases.SHIFTS)))
def test_boxes_are_upstreams(shift: int, expected: Expected) -> None:
    for seed, wanted in enumerate(expected[f"boxes_{shift}"]):
        face = cases.detected(seed)
        found = face_corners(ints(seed), None if face is None else Corners(*face), shift)
        assert (found or (0, 0, 0, 0)) == tuple(wanted), seed


def test_the_cases_hold_what_can_happen(expected: Expected) -> None:
    boxes = [tuple(box) for box in expected["boxes_0"]]
    fallen_back = [seed for seed, box in enumerate(boxes) if box == cases.detected(seed)]
    assert len(fallen_back) > 3
    assert boxes.count((0, 0, 0, 0)) == cases.BOXES // 10
    assert any(box[1] == 0 for box in boxes if any(box))
    assert any(box[2] > cases.WIDTH for box in boxes)
    assert any(box[3] > cases.HEIGHT for box in boxes)
    assert all(
        tuple(box) == (cases.detected(n) or (0, 0, 0, 0)) for n, box in enumerate(expected["boxes_200"])
    )


def test_the_range_of_shifts_is_upstreams(expected: Expected) -> None:
    low, high = shift_range([ints(seed) for seed in range(cases.BOXES)])
    assert f"[ {low}~{high} ]" in str(expected["range"])


@pytest.mark.parametrize("name", cases.RUNS)
def test_boxes_of_an_avatar_with_their_margin(name: str, expected: Expected) -> None:
    run = cases.RUNS[name]
    for number, wanted in enumerate(expected[f"{name}_boxes"]):
        points = cases.steady_points(10 * run.seed + number).astype(np.int32)
        face = face_corners(points, Corners(0, 0, 9, 9))
        assert face is not None
        found = lowered(face, run.margin, cases.HEIGHT)
        assert found == tuple(wanted)
        assert within(found, cases.WIDTH, cases.HEIGHT) == box_of(wanted)


def test_crops_are_upstreams(expected: Expected) -> None:
    for number, (picture, crop) in enumerate(
        zip(cases.pictures(cases.RUNS["jaw"]), expected["crops"], strict=False)
    ):
        found = cut_face(picture, box_of(expected["jaw_boxes"][number]))
        np.testing.assert_array_equal(found[::2, ::2], crop)


@pytest.mark.parametrize("mode", ["jaw", "raw", "neck"])
def test_what_speaks_is_upstreams(mode: Any, expected: Expected) -> None:
    wanted = np.unpackbits(expected[f"region_{mode}"]).reshape(512, 512) * 255
    np.testing.assert_array_equal(speaking_part(cases.labels(70), mode), wanted)


@pytest.mark.parametrize("mode", ["jaw", "raw", "neck"])
def test_masks_of_boxes_anywhere_are_upstreams(mode: Any, expected: Expected) -> None:
    part = speaking_part(cases.labels(70), mode)
    for number, box in enumerate(cases.SQUARES if mode == "jaw" else cases.SQUARES[:2]):
        left, top, half = square(Corners(*box))
        assert (left, top, left + 2 * half, top + 2 * half) == tuple(expected[f"alone_square_{number}"])
        np.testing.assert_array_equal(soften(part, Corners(*box)), expected[f"alone_{mode}_{number}"])


@pytest.mark.parametrize("name", cases.RUNS)
def test_masks_of_an_avatar_are_upstreams(name: str, expected: Expected) -> None:
    run = cases.RUNS[name]
    for number, picture in enumerate(cases.pictures(run)):
        box = box_of(expected[f"{name}_boxes"][number])
        labels = cases.labels(10 * run.seed + number)
        x, y, *_ = expected[f"{name}_square_{number}"]
        whole = expected[f"{name}_mask_{number}"]
        wanted = whole[box.y - y : box.y - y + box.height, box.x - x : box.x - x + box.width]
        found = parser_mask(picture, box, lambda cut, answer=labels: answer, run.mode, run.cheeks)  # type: ignore[misc]
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", cases.RUNS)
def test_the_pasted_picture_is_upstreams(name: str, expected: Expected) -> None:
    """With the crop stretched as MuseTalk does: in the box, and untouched outside of it."""
    run = cases.RUNS[name]
    picture = cases.pictures(run)[1]
    box = box_of(expected[f"{name}_boxes"][1])
    x, y, *_ = expected[f"{name}_square_1"]
    mask = expected[f"{name}_mask_1"][box.y - y : box.y - y + box.height, box.x - x : box.x - x + box.width]
    face = cv2.resize(cases.crop(1), (box.width, box.height))
    found = paste(picture, np.asarray(face, np.uint8), box, np.ascontiguousarray(mask))
    np.testing.assert_array_equal(found - picture, expected[f"{name}_pasted"])
    assert np.abs(expected[f"{name}_pasted"].astype(np.int8)).max() > 60


def test_the_offline_script_blurs_half_as_far(expected: Expected) -> None:
    picture, box = cases.picture(7), box_of(np.array(cases.SQUARES[0]))
    part, face = speaking_part(cases.labels(70), "jaw"), Corners.of(box)
    x, y, _ = square(face)
    mask = soften(part, face, OFFLINE_BLUR)[
        box.y - y : box.y - y + box.height, box.x - x : box.x - x + box.width
    ]
    drawn = np.asarray(cv2.resize(cases.crop(7), (box.width, box.height)), np.uint8)
    found = paste(picture, drawn, box, np.ascontiguousarray(mask))
    np.testing.assert_array_equal(found - picture, expected["offline"])
    assert not np.array_equal(soften(part, face), soften(part, face, OFFLINE_BLUR))


@pytest.mark.parametrize("box", cases.SQUARES)
def test_the_square_is_black_outside_of_the_picture(box: tuple[int, int, int, int]) -> None:
    from PIL import Image

    picture = cases.picture(7)
    left, top, half = square(Corners(*box))
    wanted = np.asarray(Image.fromarray(picture).crop((left, top, left + 2 * half, top + 2 * half)))
    np.testing.assert_array_equal(cut_square(picture, Corners(*box)), wanted)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_pictures_follow_each_other_as_upstream(count: int, expected: Expected) -> None:
    """Forth and back over three cycles; upstream shows the picture at either end twice, `aligned` once."""
    pictures = [np.zeros((2, 2, 3), np.uint8)] * count
    times = [40_000 * number for number in range(count)]
    bundle = Bundle("a", "musetalk", 2, 2, times, [None] * count, [None] * count, pictures)
    upstream = [*range(count), *reversed(range(count))] * 3
    if count == cases.PICTURES:
        assert upstream == expected["jaw_cycle"].tolist()
    assert [upstream_picture(frame, count) for frame in range(6 * count)] == upstream
    turns = [picture for picture, _ in groupby(upstream)]
    found = [bundle.picture_at(frame, Fraction(25)) for frame in range(max(len(turns), 6))]
    assert found[: len(turns)] == turns
    if count == 1:
        assert found == [0] * 6
