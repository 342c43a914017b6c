"""Photographs and clips to bundles; stand-ins for the networks where these do not matter."""

from __future__ import annotations

import io
import weakref
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.support.landmarks import ASTRONAUT, given
from tests.support.portraits import astronaut, faceless, moved, save, turn_mp4, write_clip
from tests.support.repainting import LIKENESS, block_means, points_by_likeness, repaint

from avatar_core.errors import AvatarError, Reason
from avatar_inference.bundle import Box, Picture
from avatar_inference.bundle_io import read_bundle, write_bundle
from avatar_inference.compositor import paste
from avatar_inference.musetalk import prepare as preparing
from avatar_inference.musetalk.crop import cut_face
from avatar_inference.musetalk.finders import Finders
from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.mask import parser_mask
from avatar_inference.musetalk.model import empty_networks
from avatar_inference.musetalk.vae import CropEncoder
from avatar_inference.source.source import Source, TimedPicture

BOX = Box(181, 55, 89, 134)
"""Of the portrait's face, with 10 pixels below the chin."""
UP, LEFT = 0, 96
SMALL = astronaut()[UP:256, LEFT:352]
SMALL_POINTS = ASTRONAUT - np.array([LEFT, UP])
SWAY = [(round(20 * np.sin(number / 5)), round(6 * np.cos(number / 4))) for number in range(30)]


def swaying() -> list[Picture]:
    return [moved(SMALL, *by) for by in SWAY]


def sway_points() -> NDArray[np.float32]:
    return given(*(SMALL_POINTS + np.array(by) for by in SWAY))


def refused(path: Path, **options: Any) -> AvatarError:
    with pytest.raises(AvatarError) as caught:
        repaint(path, **options)
    return caught.value


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save(astronaut(), tmp_path / "photo.png")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", swaying())


def test_a_photograph_with_given_points(photo: Path, tmp_path: Path) -> None:
    prepared = repaint(photo, landmarks=given(ASTRONAUT))
    bundle = prepared.bundle
    assert (bundle.engine, bundle.width, bundle.height, list(bundle.times_us)) == ("musetalk", 512, 512, [0])
    assert bundle.boxes == [BOX]
    latents = bundle.arrays["latents"]
    assert (latents.dtype, latents.shape) == (np.float16, (1, 8, 32, 32))
    np.testing.assert_array_equal(latents, block_means(cut_face(astronaut(), BOX)[None]))
    assert "mask drawn from 68 points" in bundle.notes
    assert "points given, steadied; latents are the VAE's mode, not a sample" in bundle.notes
    assert [finding.reason for finding in prepared.findings] == ["SmallFace"]
    assert Image.open(io.BytesIO(prepared.preview_png)).size == (512, 512)
    identity = write_bundle(bundle, tmp_path / "bundle")
    again = read_bundle(tmp_path / "bundle", expect=identity)
    np.testing.assert_array_equal(again.arrays["latents"], latents)
    np.testing.assert_array_equal(again.masks[0], bundle.masks[0])
    assert again.boxes == (BOX,)


def test_what_is_drawn_changes_the_lower_face_alone(photo: Path) -> None:
    bundle = repaint(photo, landmarks=given(ASTRONAUT)).bundle
    (mask,) = bundle.masks
    assert mask is not None
    drawn = np.full((BOX.height, BOX.width, 3), 255, np.uint8)
    changed = (paste(bundle.pictures[0], drawn, BOX, mask) != bundle.pictures[0]).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() > ASTRONAUT[29, 1]
    assert rows.max() < BOX.y + BOX.height - 1
    assert columns.min() > BOX.x
    assert columns.max() < BOX.x + BOX.width - 1
    x, y = ASTRONAUT[66].astype(int)
    assert changed[y, x]


def test_the_same_source_gives_the_same_bundle(clip: Path, tmp_path: Path) -> None:
    names = [
        write_bundle(repaint(clip, landmarks=sway_points()).bundle, tmp_path / str(number))
        for number in (1, 2)
    ]
    assert names[0] == names[1]
    other = repaint(clip, landmarks=sway_points(), margin=11).bundle
    assert write_bundle(other, tmp_path / "3") != names[0]


def test_the_box_follows_a_moving_face(clip: Path) -> None:
    bundle = repaint(clip, landmarks=sway_points(), still_ends=False).bundle
    assert len(bundle.pictures) == len(SWAY)
    for number, ((right, down), box) in enumerate(zip(SWAY, bundle.boxes, strict=True)):
        assert box is not None
        assert abs(box.x - (BOX.x - LEFT + right)) <= 3, number
        assert abs(box.y + box.height - (BOX.y + BOX.height + down)) <= 3, number
        np.testing.assert_array_equal(bundle.pictures[number], moved(SMALL, right, down))
        wanted = block_means(cut_face(bundle.pictures[number], box)[None])[0]
        np.testing.assert_array_equal(bundle.arrays["latents"][number], wanted)


def test_points_as_they_are_give_upstream_s_boxes(clip: Path) -> None:
    points = sway_points() + np.random.default_rng(3).uniform(-2, 2, (30, 68, 2)).astype(np.float32)
    bundle = repaint(clip, landmarks=points, smooth=False, still_ends=False).bundle
    for face, box in zip(points.astype(np.int32), bundle.boxes, strict=True):
        middle, bottom = face[29, 1], face[:, 1].max()
        top = max(0, 2 * middle - bottom)
        left, right = face[:, 0].min(), face[:, 0].max()
        assert box == Box(left, top, right - left, min(bottom + 10, 256) - top)


def test_pictures_without_points_pass_untouched_and_in_step(clip: Path) -> None:
    points = sway_points()
    points[7:12] = np.nan
    prepared = repaint(clip, landmarks=points, still_ends=False)
    bundle = prepared.bundle
    assert [box is None for box in bundle.boxes] == [7 <= number < 12 for number in range(30)]
    assert [mask is None for mask in bundle.masks] == [box is None for box in bundle.boxes]
    assert not bundle.arrays["latents"][7:12].any()
    assert all(bundle.arrays["latents"][number].any() for number in (0, 6, 12, 29))
    found = [(f.reason, f.first_picture, f.last_picture) for f in prepared.findings if f.reason == "NoFace"]
    assert found == [("NoFace", 7, 11)]


def test_found_points_are_as_good_as_given_ones(clip: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = repaint(clip, finders=LIKENESS, progress=lambda *step: told.append(step)).bundle
    wanted = repaint(clip, landmarks=sway_points()).bundle
    assert found.boxes == wanted.boxes
    assert found.times_us == wanted.times_us
    assert "points found by the landmark network" in found.notes[1]
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["finding the face", "finding the points", "encoding the face"]
    assert [step for step in told if step[0] == "encoding the face"][-1][1:] == (len(found.boxes),) * 2


def test_without_a_detector_opencv_looks(photo: Path) -> None:
    bundle = repaint(photo, finders=Finders(block_means, points_by_likeness)).bundle
    assert bundle.boxes == [BOX]


def test_a_face_that_leaves_is_missed(tmp_path: Path) -> None:
    pictures = [SMALL] * 12 + [faceless(256, 256)] * 12
    path = write_clip(tmp_path / "clip.mkv", pictures)
    prepared = repaint(path, finders=LIKENESS)
    assert [box is None for box in prepared.bundle.boxes] == [False] * 12 + [True] * 12
    assert {"NoFace", "HardCut"} <= {finding.reason for finding in prepared.findings}
    assert refused(save(faceless(), tmp_path / "cup.png"), finders=LIKENESS).reason is Reason.NO_FACE


def test_points_of_another_face_are_not_taken(photo: Path) -> None:
    def elsewhere(picture: Picture) -> NDArray[np.float64]:
        return points_by_likeness(picture) + np.array([0, 250])

    assert refused(photo, finders=replace(LIKENESS, points=elsewhere)).reason is Reason.NO_FACE


def test_weights_that_are_missing_are_named_with_a_way_out(photo: Path) -> None:
    error = refused(photo)
    assert error.reason is Reason.WEIGHTS_MISSING
    assert "avatar weights fetch" in error.message
    assert "--landmarks" in error.message
    error = refused(photo, landmarks=given(ASTRONAUT), mask="jaw")
    assert error.reason is Reason.WEIGHTS_MISSING
    assert "--mask landmarks" in error.message


def test_one_of_several_faces_is_chosen_and_shown_alone(tmp_path: Path) -> None:
    picture = np.concatenate([astronaut()[:300, 60:360]] * 2, axis=1)
    path = save(picture, tmp_path / "two.png")
    assert refused(path, finders=LIKENESS).reason is Reason.SEVERAL_FACES
    shown: list[tuple[int, ...]] = []

    def watched(part: Picture) -> NDArray[np.float64]:
        shown.append(part.shape)
        return points_by_likeness(part)

    boxes = [
        repaint(path, finders=replace(LIKENESS, points=watched), face_index=index).bundle.boxes[0]
        for index in (1, 2)
    ]
    assert boxes == [replace(BOX, x=BOX.x - 60), replace(BOX, x=BOX.x - 60 + 300)]
    assert all(width < 300 for _, width, _ in shown)
    for index, left in enumerate((176 - 60, 176 + 240)):
        by_box = repaint(path, finders=LIKENESS, face_box=(left, 66, 96, 96)).bundle.boxes
        assert by_box == [boxes[index]]


@pytest.mark.parametrize("mode", ["jaw", "raw", "neck"])
def test_the_parser_s_masks_are_upstream_s(clip: Path, mode: Any) -> None:
    squares: list[Picture] = []

    def skin_below(square: Picture) -> NDArray[np.uint8]:
        squares.append(square)
        labels = np.zeros((512, 512), np.uint8)
        labels[200:, 100:400] = 1
        labels[300:340, 200 + len(squares) : 300] = 11
        return labels

    finders = Finders(block_means, labels=skin_below)
    bundle = repaint(clip, finders=finders, landmarks=sway_points(), mask=mode, still_ends=False).bundle
    assert len(squares) == len(bundle.boxes)
    asked = squares.copy()
    squares.clear()
    for number, box in enumerate(bundle.boxes):
        assert box is not None
        wanted = parser_mask(bundle.pictures[number], box, skin_below, mode, (90, 90))
        np.testing.assert_array_equal(bundle.masks[number], wanted)
        np.testing.assert_array_equal(squares[number], asked[number])
    assert f"mask {mode!r} of the face parser" in bundle.notes[0]


def test_masks_of_pictures_at_rest_are_one(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "still.mkv", [SMALL] * 9)
    bundle = repaint(path, landmarks=given(*[SMALL_POINTS] * 9)).bundle
    assert len({id(mask) for mask in bundle.masks}) == 1
    assert len(set(bundle.boxes)) == 1


def test_fewer_pictures_a_second_keep_the_speed(tmp_path: Path) -> None:
    """Of a file of 50 pictures a second; the points are those of its pictures, also of the ones left out."""
    count = 50
    pictures = [moved(SMALL, number, 0) for number in range(count)]
    path = write_clip(tmp_path / "fast.mkv", pictures, [20 * number for number in range(count)])
    points = given(*(SMALL_POINTS + np.array([number, 0]) for number in range(count)))
    bundle = repaint(path, landmarks=points, fps=Fraction(10), smooth=False, still_ends=False).bundle
    assert bundle.times_us[:4] == (0, 100_000, 200_000, 300_000)
    for time, box in zip(bundle.times_us, bundle.boxes, strict=True):
        assert box is not None
        assert abs(box.x - (BOX.x - LEFT) - time / 20_000) <= 2
    same = repaint(path, landmarks=points, still_ends=False).bundle
    assert same.times_us[:3] == (0, 40_000, 80_000)


def test_pictures_and_all_about_them_are_scaled(photo: Path) -> None:
    points = given(ASTRONAUT)
    bundle = repaint(photo, landmarks=points, side_max=384, margin=20, smooth=False).bundle
    box = bundle.boxes[0]
    assert box is not None
    assert (bundle.width, bundle.height) == (384, 384)
    assert (box.x, box.y, box.x + box.width, box.y + box.height) == (135, 40, 202, 149)
    large = np.asarray(Image.fromarray(astronaut()).resize((1536, 1536)))
    path = save(large, photo.with_name("large.png"))
    box = repaint(path, landmarks=points * 3, side_max=4096).bundle.boxes[0]
    assert box is not None
    assert box.y + box.height == 179 * 3 + round(124 * 3 * 10 / 256)


def test_points_of_another_video_are_refused(clip: Path) -> None:
    for points in (sway_points()[:-1], np.concatenate([sway_points()] * 2), given(SMALL_POINTS)):
        error = refused(clip, landmarks=points)
        assert (error.reason, error.field) == (Reason.INVALID_ARGUMENT, "repaint.landmarks")
        assert f"{len(points)} pictures" in error.message


def test_points_of_a_video_turned_or_scaled_are_refused(tmp_path: Path) -> None:
    tall = np.ascontiguousarray(astronaut()[:400])
    lying = np.rot90(tall, 1)
    clip = write_clip(tmp_path / "clip.mp4", [lying] * 2, codec="libx264", pix_fmt="yuv444p")
    points = given(ASTRONAUT, ASTRONAUT)
    turned = turn_mp4(clip, 90)
    bundle = repaint(turned, landmarks=points, landmarks_size=(512, 400)).bundle
    assert bundle.boxes == [BOX, BOX]
    assert np.abs(bundle.pictures[0].astype(int) - tall).mean() < 4
    for size in ((400, 512), (1024, 800), (512, 396)):
        error = refused(turned, landmarks=points, landmarks_size=size)
        assert error.field == "repaint.landmarks"
        assert "512x400" in error.message


def test_odd_sizes_lose_a_row_and_keep_their_points(tmp_path: Path) -> None:
    odd = astronaut()[:401, :511]
    photo = save(odd, tmp_path / "odd.png")
    clip = write_clip(tmp_path / "odd.mkv", [odd])
    for path in (photo, clip):
        bundle = repaint(path, landmarks=given(ASTRONAUT), landmarks_size=(511, 401)).bundle
        assert (bundle.width, bundle.height) == (510, 400)
        assert bundle.boxes == [BOX]


def test_alpha_grey_and_turned_photographs(tmp_path: Path) -> None:
    portrait = Image.fromarray(astronaut())
    glass = portrait.copy()
    glass.putalpha(Image.new("L", (512, 512), 255))
    sideways = portrait.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    glass.save(tmp_path / "alpha.png")
    portrait.convert("L").save(tmp_path / "grey.png")
    sideways.save(tmp_path / "turned.png", exif=exif)
    for name in ("alpha", "grey", "turned"):
        bundle = repaint(tmp_path / f"{name}.png", landmarks=given(ASTRONAUT)).bundle
        assert bundle.boxes == [BOX]
        wanted = astronaut() if name != "grey" else np.asarray(portrait.convert("L").convert("RGB"))
        np.testing.assert_array_equal(bundle.pictures[0], wanted)


def test_real_times_are_kept(tmp_path: Path) -> None:
    times = [0, 33, 100, 150, 333, 1000]
    path = write_clip(tmp_path / "clip.mkv", [SMALL] * 6, times)
    bundle = repaint(path, landmarks=given(*[SMALL_POINTS] * 6)).bundle
    assert bundle.times_us == tuple(1000 * time for time in times)


def test_a_motion_turns_round_at_rest(tmp_path: Path) -> None:
    """It stands still from 0.2 s on and until 0.2 s before the end, and rushes before and after."""
    ways = [-30 + 6 * min(number, 5) for number in range(45)] + [6 * (number + 1) for number in range(5)]
    path = write_clip(tmp_path / "clip.mkv", [moved(SMALL, way, 0) for way in ways])
    points = given(*(SMALL_POINTS + np.array([way, 0]) for way in ways))
    cut = repaint(path, landmarks=points).bundle
    whole = repaint(path, landmarks=points, still_ends=False).bundle
    assert len(whole.pictures) == 50
    assert 38 <= len(cut.pictures) < 45
    first = 50 - len(cut.pictures)
    assert cut.times_us[0] == 0
    assert cut.times_us[1] == 40_000
    starts = [n for n in range(first + 1) if np.array_equal(cut.pictures[0], whole.pictures[n])]
    assert 0 not in starts
    np.testing.assert_array_equal(cut.arrays["latents"][10], whole.arrays["latents"][10 + starts[0]])


def test_a_shift_that_leaves_the_nose_is_told_and_one_beyond_the_chin_refused(photo: Path) -> None:
    moved_down = repaint(photo, landmarks=given(ASTRONAUT), shift=5)
    assert moved_down.bundle.boxes == [Box(181, 65, 89, 124)]
    assert "ShiftedFar" not in {finding.reason for finding in moved_down.findings}
    far = repaint(photo, landmarks=given(ASTRONAUT), shift=-20)
    (finding,) = [finding for finding in far.findings if finding.reason == "ShiftedFar"]
    assert "-8 to 8 pixels" in finding.message
    error = refused(photo, landmarks=given(ASTRONAUT), shift=70)
    assert (error.reason, error.field) == (Reason.INVALID_ARGUMENT, "repaint.shift")


def test_a_face_too_small_and_a_face_outside_are_refused(photo: Path) -> None:
    small = (ASTRONAUT - ASTRONAUT.mean(axis=0)) * 0.4 + 200
    assert refused(photo, landmarks=given(small)).reason is Reason.FACE_TOO_SMALL
    assert refused(photo, landmarks=given(ASTRONAUT - np.array([240, 0]))).reason is Reason.NO_FACE


def test_masks_that_could_not_be_stored_are_refused_before_anything_is_encoded(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(crops: NDArray[np.uint8]) -> NDArray[np.float16]:
        raise AssertionError("encoded")

    monkeypatch.setattr(preparing, "MAX_ARRAYS_BYTES", 1_600_000)
    error = refused(clip, finders=Finders(never), landmarks=sway_points(), smooth=False)
    assert error.reason is Reason.INVALID_PICTURE
    assert "--side-max" in error.message


def test_few_pictures_are_held_and_few_encoded_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alive = most = 0
    batches: list[int] = []

    def forget() -> None:
        nonlocal alive
        alive -= 1

    def frames() -> Iterator[TimedPicture]:
        nonlocal alive, most
        for number in range(100):
            picture = SMALL.copy()
            alive += 1
            most = max(most, alive)
            weakref.finalize(picture, forget)
            yield TimedPicture(number * 40_000, picture, number)

    def encode(crops: NDArray[np.uint8]) -> NDArray[np.float16]:
        batches.append(len(crops))
        return block_means(crops)

    monkeypatch.setattr(preparing, "open_source", lambda *given: Source(256, 256, 1.0, frames))
    bundle = repaint(tmp_path, finders=replace(LIKENESS, encode=encode)).bundle
    assert len(bundle.boxes) == 100
    assert sum(batches) == 100
    assert max(batches) == preparing.ENCODED_AT_ONCE
    assert most <= 15


def test_the_whole_way_with_an_encoder_of_small_random_weights(clip: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    encoder = CropEncoder(empty_networks(TINY)[1])

    def encode(crops: NDArray[np.uint8]) -> NDArray[np.float16]:
        found: NDArray[np.float16] = encoder(torch.from_numpy(crops)).to(torch.float16).numpy()
        return found

    bundle = repaint(clip, finders=Finders(encode), landmarks=sway_points()).bundle
    identity = write_bundle(bundle, tmp_path / "bundle")
    again = read_bundle(tmp_path / "bundle", expect=identity)
    latents = again.arrays["latents"]
    assert latents.shape == (len(again.pictures), 8, 32, 32)
    assert np.isfinite(latents).all()
    # The masked half and the whole differ below; pictures differ from each other.
    assert np.abs(latents[:, :4, 20:] - latents[:, 4:, 20:]).mean() > 1e-3
    assert np.abs(latents[0].astype(float) - latents[10]).mean() > 1e-3
    box = again.boxes[10]
    assert box is not None
    alone = encode(cut_face(again.pictures[10], box)[None])[0].astype(float)
    assert np.abs(alone - latents[10]).max() < 2e-3
