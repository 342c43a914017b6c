from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from tests.support.portraits import FACE, MOUTH, astronaut, faceless, prepare, save

from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_inference.bundle import Box
from avatar_inference.preview.parting import find_mouth
from avatar_inference.source.faces import haar_faces, overlap


def refused(path: Path, **options: object) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        prepare(path, **options)
    return caught.value


def two_faces() -> np.ndarray:
    """The portrait beside a smaller copy of it."""
    small = np.asarray(Image.fromarray(astronaut()).resize((400, 400)))
    picture = np.full((512, 912, 3), 128, np.uint8)
    picture[:, :512], picture[:400, 512:] = astronaut(), small
    return picture


def test_the_cascade_sees_the_face_and_nothing_else() -> None:
    (face,) = haar_faces()(astronaut())
    assert overlap(face, FACE) > 0.8


@pytest.mark.parametrize("name", ["camera", "chelsea", "coffee", "coins", "rocket", "grass", "page", "moon"])
def test_the_cascade_sees_no_face_where_there_is_none(name: str) -> None:
    picture = np.asarray(Image.fromarray(getattr(skimage.data, name)()).convert("RGB"))
    assert haar_faces()(picture) == ()


@pytest.mark.parametrize("degrees", [-8, -4, 0, 4, 8])
def test_the_lips_are_found_however_the_head_is_tilted(degrees: int) -> None:
    turned = np.asarray(Image.fromarray(astronaut()).rotate(degrees, Image.Resampling.BICUBIC, center=MOUTH))
    mouth = find_mouth(turned, haar_faces()(turned)[0])
    assert (mouth.x, mouth.y) == (pytest.approx(MOUTH[0], abs=3), pytest.approx(MOUTH[1], abs=2))
    assert mouth.half_width == pytest.approx(21, abs=2)
    assert mouth.tilt == pytest.approx(0.04 - np.tan(np.radians(degrees)), abs=0.1)
    assert mouth.teeth > 3


@pytest.mark.parametrize(
    "box", [(171, 61, 96, 96), (181, 61, 96, 96), (171, 71, 96, 96), (181, 71, 96, 96), (168, 50, 112, 112)]
)
def test_the_lips_are_found_in_a_box_drawn_by_hand(box: tuple[int, int, int, int]) -> None:
    mouth = find_mouth(astronaut(), Box(*box))
    assert (mouth.x, mouth.y) == (pytest.approx(MOUTH[0], abs=3), pytest.approx(MOUTH[1], abs=2))
    assert mouth.half_width == pytest.approx(21, abs=3)


def test_a_mouth_without_a_line_is_where_mouths_are() -> None:
    mouth = find_mouth(np.full((300, 300, 3), 150, np.uint8), Box(50, 50, 200, 200))
    assert (mouth.x, mouth.y, mouth.half_width) == pytest.approx((150, 204, 38))
    assert (mouth.tilt, mouth.sag, mouth.teeth) == (0, 0, 0)


def test_a_box_at_the_picture_s_edge_is_no_trouble() -> None:
    assert np.isfinite(find_mouth(astronaut(), Box(440, 440, 100, 100)).y)


def test_no_face_is_refused_with_what_to_do(tmp_path: Path) -> None:
    error = refused(save(faceless(), tmp_path / "cup.png"))
    assert error.reason is Reason.NO_FACE
    assert "--face-box" in error.message


def test_several_faces_are_listed_and_one_can_be_chosen(tmp_path: Path) -> None:
    path = save(two_faces(), tmp_path / "two.png")
    error = refused(path)
    assert error.reason is Reason.SEVERAL_FACES
    boxes = [Box(*map(int, found)) for found in re.findall(r"\d: (\d+),(\d+),(\d+),(\d+)", error.message)]
    assert [overlap(box, FACE) > 0.8 for box in boxes] == [True, False]
    chosen = [prepare(path, face_index=index).bundle.boxes[0] for index in (1, 2)]
    assert chosen[0] is not None
    assert chosen[1] is not None
    assert chosen[0].x < 256 < 512 < chosen[1].x
    listed = prepare(path, face_box=(boxes[1].x, boxes[1].y, boxes[1].width, boxes[1].height))
    assert listed.bundle.boxes[0] == chosen[1]
    assert refused(path, face_index=3).field == "face_index"


def test_a_small_face_is_refused_with_its_size(tmp_path: Path) -> None:
    half = np.asarray(Image.fromarray(astronaut()).resize((256, 256)))
    error = refused(save(half, tmp_path / "half.png"))
    assert error.reason is Reason.FACE_TOO_SMALL
    assert re.search(r"the face is (4\d|5\d) pixels wide; at least 64", error.message)
    assert refused(save(astronaut(), tmp_path / "box.png"), face_box=(10, 10, 100, 63)).reason is (
        Reason.FACE_TOO_SMALL
    )


@pytest.mark.parametrize(
    "box",
    [(-1, 0, 100, 100), (0, 0, 0, 100), (0, 0, 100, -5), (450, 0, 100, 100), (0, 0, 2**32 - 1, 2**32 - 1)],
)
def test_a_box_outside_of_the_picture_is_refused(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    error = refused(save(astronaut(), tmp_path / "photo.png"), face_box=box)
    assert (error.reason, error.field) == (Reason.INVALID_ARGUMENT, "face_box")
    assert "512x512" in error.message


def test_without_opencv_a_given_box_works_and_looking_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    path = save(astronaut(), tmp_path / "photo.png")
    with pytest.raises(AvatarError, match=r"pip install 'avatar-operator\[prepare\]'.*--face-box") as caught:
        prepare(path)
    assert caught.value.reason is Reason.MISSING_DEPENDENCY
    box = prepare(path, face_box=(FACE.x, FACE.y, FACE.width, FACE.height)).bundle.boxes[0]
    assert box is not None
    assert box.x <= MOUTH[0] <= box.x + box.width
