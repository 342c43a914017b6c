from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st
from tests.support.landmarks import ASTRONAUT, given, write_landmarks

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import LANDMARK_PICTURES_MAX
from avatar_inference.landmarks import pack, read_landmarks, unpack


def content(**changes: Any) -> dict[str, Any]:
    return {"width": 512, "height": 400, "pictures": [ASTRONAUT.tolist(), None]} | changes


def refused(path: Path) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        read_landmarks(path)
    return caught.value


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_landmarks(tmp_path / "points.json", [ASTRONAUT, None, ASTRONAUT - 300], (512, 400))
    found = read_landmarks(path)
    assert (found.width, found.height, found.points.dtype) == (512, 400, np.float32)
    np.testing.assert_array_equal(found.points, given(ASTRONAUT, None, ASTRONAUT - 300))
    np.testing.assert_array_equal(unpack(pack(found.points)), found.points)


@given_by(count=st.integers(1, 5), absent=st.integers(0, 4), scale=st.floats(-10, 10))
def test_points_survive_being_sent(count: int, absent: int, scale: float) -> None:
    points = given(*(None if n == absent and count > 1 else ASTRONAUT * scale for n in range(count)))
    data = pack(points)
    assert len(data) == count * 68 * 2 * 4
    np.testing.assert_array_equal(unpack(data), points)


def face(**changes: Any) -> list[Any]:
    points = ASTRONAUT.tolist()
    for number, value in changes.items():
        points[int(number[1:])] = value
    return points


WRONG: dict[str, tuple[Any, str, str]] = {
    "a list": ([], "landmarks", "must be an object"),
    "a word more": (content(fps=25), "landmarks", "nothing else"),
    "no width": ({"height": 1, "pictures": [None]}, "landmarks", "must be an object"),
    "a broken width": (content(width=51.5), "width", "whole number"),
    "a true width": (content(width=True), "width", "whole number"),
    "a huge height": (content(height=10**9), "height", "1 to 8192"),
    "no pictures": (content(pictures=[]), "pictures", f"1 to {LANDMARK_PICTURES_MAX}"),
    "pictures by name": (content(pictures={"0": None}), "pictures", "must be a list"),
    "too many": (content(pictures=[None] * 7201), "pictures", "1 to 7200"),
    "67 points": (content(pictures=[None, face()[:67]]), "pictures[1]", "68 points"),
    "a number for a point": (content(pictures=[face(p3=7)]), "pictures[0]", "each [x, y]"),
    "three numbers": (content(pictures=[face(p3=[1, 2, 3])]), "pictures[0]", "each [x, y]"),
    "a word": (content(pictures=[face(p3=[1, "2"])]), "pictures[0]", "must be a number"),
    "true": (content(pictures=[face(p3=[1, True])]), "pictures[0]", "must be a number"),
    "null": (content(pictures=[face(p3=[1, None])]), "pictures[0]", "must be a number"),
    "far away": (content(pictures=[face(p3=[1, 1e300])]), "pictures[0]", "-32768 to 32768"),
    "a whole number beyond floats": (content(pictures=[face(p3=[1, 10**400])]), "pictures[0]", "32768"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    wrong, field, part = WRONG[name]
    (tmp_path / "points.json").write_text(json.dumps(wrong))
    error = refused(tmp_path / "points.json")
    assert (error.reason, error.field) == (Reason.INVALID_ARGUMENT, field)
    assert part in error.message


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b'{"width": NaN}',
        b'{"width": Infinity, "height": 1, "pictures": [null]}',
        b"[" * 200_000,
        b"\x80\x04\x95",
        b"1" * 5000,
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "points.json").write_bytes(text)
    assert refused(tmp_path / "points.json").field == "landmarks"


def test_a_file_without_any_face_and_one_that_is_too_large(tmp_path: Path) -> None:
    path = write_landmarks(tmp_path / "points.json", [None, None])
    assert refused(path).reason is Reason.NO_FACE
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    assert "larger than 64 MiB" in refused(path).message
    assert "cannot be read" in refused(tmp_path / "missing").message


@pytest.mark.parametrize("size", [1, 543, 545, 544 * 7201])
def test_bytes_that_are_no_pictures_are_refused(size: int) -> None:
    with pytest.raises(InvalidInputError) as caught:
        unpack(bytes(size))
    assert caught.value.field == "config.repaint.landmarks"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_points_that_are_no_places_are_refused(value: float) -> None:
    points = given(ASTRONAUT, ASTRONAUT)
    points[1, 5, 0] = value
    with pytest.raises(InvalidInputError) as caught:
        unpack(pack(points))
    assert caught.value.field == "config.repaint.landmarks[1]"
