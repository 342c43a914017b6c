from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from tests.support.portraits import astronaut, prepare, save

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Box, Bundle, Picture
from avatar_inference.compositor import paste
from avatar_inference.preview.mouth import REST, MouthShape
from avatar_inference.preview.region import depth, mouth_box, mouth_mask
from avatar_inference.preview.warp import PhotoFace

OPEN = MouthShape(opening=1.0)
UNIT = st.floats(0, 1, allow_nan=False)
SHAPES = st.builds(MouthShape, UNIT, UNIT, UNIT, UNIT)


def bundle_of(picture: Picture, count: int = 1, **changes: object) -> Bundle:
    """A 256x256 picture that is its own crop, its mouth level in the usual place."""
    box = Box(0, 0, 256, 256)
    arrays = {
        "photo.mouth": np.tile(np.array([128, 107.5, 46, 0], np.float32), (count, 1)),
        "photo.lips": np.zeros((count, 2), np.float32),
    }
    bundle = Bundle(
        name="someone",
        engine="preview",
        width=256,
        height=256,
        times_us=range(0, 40_000 * count, 40_000),
        boxes=[box] * count,
        masks=[mouth_mask(256)] * count,
        pictures=[picture] * count,
        arrays=arrays,
    )
    return replace(bundle, **changes)  # type: ignore[arg-type]


def face_like() -> Picture:
    """Skin with a gradient and a darker line where the lips meet."""
    rows, columns = np.mgrid[:256, :256]
    line = np.maximum(1 - ((rows - 107.5) / 4) ** 2, 0) * (abs(columns - 128) < 46)
    grey = 150 + 0.2 * rows - 0.15 * columns - 70 * line
    picture: Picture = np.stack([grey, 0.8 * grey, 0.7 * grey], -1).clip(0, 255).astype(np.uint8)
    return picture


def dotted(*places: tuple[int, int]) -> Picture:
    """Even skin with green dots at x, y."""
    picture = np.full((256, 256, 3), (190, 150, 130), np.uint8)
    for x, y in places:
        picture[y - 1 : y + 2, x - 1 : x + 2] = (0, 255, 0)
    return picture


def dot_of(picture: Picture) -> tuple[float, float]:
    """Where the one green dot is."""
    weight = np.maximum(picture[..., 1].astype(float) - picture[..., 0], 0)
    rows, columns = np.mgrid[:256, :256]
    return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


def moved_dot(x: int, y: int, shape: MouthShape) -> tuple[float, float]:
    """How far a dot at x, y moves."""
    right, down = dot_of(PhotoFace(bundle_of(dotted((x, y)))).draw(0, shape))
    return right - x, down - y


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    large = np.asarray(Image.fromarray(astronaut()).resize((1280, 1280), Image.Resampling.BICUBIC))
    return prepare(save(large, tmp_path_factory.mktemp("portrait") / "photo.png")).bundle


def test_at_rest_the_crop_is_the_picture_s(portrait: Bundle) -> None:
    (box,) = portrait.boxes
    assert box is not None
    part = Image.fromarray(portrait.pictures[0][box.y : box.y + box.height, box.x : box.x + box.width])
    expected = np.asarray(part.resize((256, 256), Image.Resampling.BICUBIC)).astype(int)
    # The resampling sees what lies beyond the box, so its edge may differ.
    drawn = PhotoFace(portrait).draw(0, REST)
    assert np.abs(drawn.astype(int) - expected)[3:-3, 3:-3].max() <= 1
    np.testing.assert_array_equal(PhotoFace(bundle_of(face_like())).draw(0, REST), face_like())


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES)
def test_nothing_changes_outside_of_the_mask_and_little_at_its_border(shape: MouthShape) -> None:
    picture = face_like()
    drawn = PhotoFace(bundle_of(picture)).draw(0, shape)
    change = np.abs(drawn.astype(int) - picture).max(2)
    inside = depth(256)
    assert change[inside == 0].max() == 0
    assert change[inside < 0.05].max() <= 2
    pasted = paste(picture, drawn, Box(0, 0, 256, 256), mouth_mask(256))
    assert np.abs(pasted.astype(int) - picture).max(2)[inside < 0.1].max() <= 2


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES)
def test_the_picture_never_folds(shape: MouthShape) -> None:
    """A ramp stays a ramp: outside of the gap between the lips no column goes back upwards."""
    rows, columns = np.mgrid[:256, :256].astype(np.uint8)
    drawn = PhotoFace(bundle_of(np.stack([rows, columns, rows], -1))).draw(0, replace(shape, opening=0.0))
    assert (np.diff(drawn[..., 0].astype(int), axis=0) >= -1).all()
    assert (np.diff(drawn[..., 1].astype(int), axis=1) >= -1).all()
    wide = PhotoFace(bundle_of(np.stack([rows, columns, rows], -1))).draw(0, replace(shape, press=0.0))
    below = wide[160:, :, 0].astype(int)
    assert (np.diff(below, axis=0) >= -1).all()


@pytest.mark.parametrize("opening", [0.25, 0.5, 1.0])
def test_opening_moves_lip_and_chin_down_and_hardly_the_upper_lip(opening: float) -> None:
    shape = MouthShape(opening)
    lip, chin, neck = (moved_dot(128, y, shape)[1] for y in (118, 170, 235))
    assert lip == pytest.approx(0.9 * 0.68 * 46 * opening, abs=1.5)
    assert 0.4 * lip < chin < lip
    assert abs(neck) < 1
    assert -0.25 * lip < moved_dot(128, 98, shape)[1] < 0


def test_the_gap_grows_with_opening_and_is_dark() -> None:
    face = PhotoFace(bundle_of(face_like()))
    dark = [int((face.draw(0, MouthShape(opening)).max(2) < 60).sum()) for opening in np.linspace(0, 1, 11)]
    assert dark == sorted(dark)
    assert dark[0] == 0
    assert dark[-1] > 900


def test_spread_moves_the_corners_out_and_in() -> None:
    narrow, wide = MouthShape(0, 0.0), MouthShape(0, 1.0)
    assert moved_dot(84, 107, narrow)[0] > 6
    assert moved_dot(172, 107, narrow)[0] < -6
    assert moved_dot(84, 107, wide)[0] < -3
    assert moved_dot(172, 107, wide)[0] > 3
    assert moved_dot(128, 107, narrow) == pytest.approx((0, 0), abs=0.1)


def test_press_brings_the_lips_together_only_when_closed() -> None:
    pressed = MouthShape(press=1.0)
    assert moved_dot(128, 97, pressed)[1] > 1.5
    assert moved_dot(128, 118, pressed)[1] < -1.5
    face = PhotoFace(bundle_of(face_like()))
    np.testing.assert_array_equal(face.draw(0, MouthShape(1.0, press=1.0)), face.draw(0, OPEN))


def test_teeth_are_painted_unless_the_picture_bares_its_own() -> None:
    lips = np.array([[0, 6]], np.float32)
    shape = MouthShape(0.5, teeth=1.0)
    closed = bundle_of(face_like())
    bare = replace(closed, arrays={**closed.arrays, "photo.lips": lips})
    bright = [
        float(np.median(PhotoFace(bundle).draw(0, shape)[108:114, 118:138])) for bundle in (closed, bare)
    ]
    assert bright[0] > 110
    assert bright[1] < 60


def test_a_grey_picture_keeps_a_grey_mouth(portrait: Bundle) -> None:
    grey = np.asarray(Image.fromarray(portrait.pictures[0]).convert("L").convert("RGB"))
    drawn = PhotoFace(replace(portrait, pictures=[grey])).draw(0, MouthShape(0.7, 0.3, 0, 0.6)).astype(int)
    assert np.ptp(drawn, axis=2).max() <= 1


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, step=st.sampled_from(["opening", "spread", "press", "teeth"]))
def test_a_small_step_of_the_shape_is_a_small_step_of_the_picture(shape: MouthShape, step: str) -> None:
    face = PhotoFace(bundle_of(face_like()))
    value = getattr(shape, step)
    near = replace(shape, **{step: value + 0.01 if value < 0.5 else value - 0.01})
    change = np.abs(face.draw(0, shape).astype(int) - face.draw(0, near))
    assert change.mean() < 0.5
    assert change.max() < 120


def test_the_same_frame_is_drawn_the_same_by_any_thread(portrait: Bundle) -> None:
    shapes = [MouthShape(i / 10, 1 - i / 10, i % 2, 0.5) for i in range(10)]
    alone = [PhotoFace(portrait).draw(0, shape) for shape in shapes]
    shared = PhotoFace(portrait)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda shape: shared.draw(0, shape), shapes * 3))
    for first, second in zip(alone * 3, together, strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_cache_is_bounded_and_keeps_what_was_used_last() -> None:
    asked: list[int] = []

    class Counting:
        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> Picture:
            asked.append(index)
            return np.full((256, 256, 3), 20 * index, np.uint8)

    face = PhotoFace(bundle_of(face_like(), 10, pictures=Counting()), cache_bytes=3 * 7 * 256 * 256)
    for index in (0, 1, 2, 0, 3, 0, 1):
        assert face.draw(index, REST)[0, 0, 0] == 20 * index
    assert asked == [0, 1, 2, 3, 1]


def test_what_was_drawn_belongs_to_the_caller() -> None:
    face = PhotoFace(bundle_of(face_like()))
    face.draw(0, OPEN)[:] = 0
    with pytest.raises(ValueError, match="read-only"):
        face.draw(0, REST)[:] = 0
    np.testing.assert_array_equal(face.draw(0, REST), face_like())


def test_a_picture_without_a_face_gives_a_black_crop() -> None:
    face = PhotoFace(
        bundle_of(face_like(), 2, boxes=[None, Box(0, 0, 256, 256)], masks=[None, mouth_mask(256)])
    )
    assert face.draw(0, OPEN).max() == 0
    assert face.draw(1, OPEN).max() > 0


def damaged(change: Callable[[NDArray[np.float32]], NDArray[np.generic] | None]) -> dict[str, object]:
    arrays = dict(bundle_of(face_like()).arrays)
    changed = change(np.array(arrays.pop("photo.mouth"), np.float32))
    return {**arrays, **({} if changed is None else {"photo.mouth": changed})}


@pytest.mark.parametrize(
    "change",
    [
        lambda mouth: None,
        lambda mouth: mouth[:, :3],
        lambda mouth: mouth[0],
        lambda mouth: np.vstack([mouth, mouth]),
        lambda mouth: mouth.astype(np.float64),
        lambda mouth: np.full_like(mouth, np.nan),
        lambda mouth: np.full_like(mouth, np.inf),
        lambda mouth: mouth * 1e6,
        lambda mouth: -mouth,
        lambda mouth: mouth * np.array([[1, 1, 0, 1]], np.float32),
    ],
)
def test_damaged_arrays_are_refused(
    change: Callable[[NDArray[np.float32]], NDArray[np.generic] | None],
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        PhotoFace(bundle_of(face_like(), arrays=damaged(change)))
    assert caught.value.reason is Reason.AVATAR_INVALID


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(0, 256),
    y=st.floats(0, 256),
    half=st.floats(4, 256),
    tilt=st.floats(-1, 1),
    sag=st.floats(-256, 256),
    shape=SHAPES,
)
def test_any_mouth_that_is_let_in_can_be_drawn(
    x: float, y: float, half: float, tilt: float, sag: float, shape: MouthShape
) -> None:
    arrays = {
        "photo.mouth": np.array([[x, y, half, tilt]], np.float32),
        "photo.lips": np.array([[sag, 0]], np.float32),
    }
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        drawn = PhotoFace(bundle_of(face_like(), arrays=arrays)).draw(0, shape)
    np.testing.assert_array_equal(drawn[depth(256) == 0], face_like()[depth(256) == 0])


@pytest.mark.parametrize("place", [(0, 0), (639, 479), (320, 0), (320, 240), (-50, 600)])
@pytest.mark.parametrize("face", [64.0, 333.0, 2000.0])
def test_the_box_is_a_square_within_the_picture(place: tuple[int, int], face: float) -> None:
    box = mouth_box(*place, face, 640, 480)
    assert box.width == box.height <= 480
    assert 0 <= box.x <= 640 - box.width
    assert 0 <= box.y <= 480 - box.height


@pytest.mark.parametrize("side", [64, 100, 256, 720])
def test_the_mask_is_soft_and_ends_within_its_box(side: int) -> None:
    mask = mouth_mask(side).astype(int)
    assert np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).max() == 0
    assert max(np.abs(np.diff(mask, axis=0)).max(), np.abs(np.diff(mask, axis=1)).max()) <= 255 * 24 / side
