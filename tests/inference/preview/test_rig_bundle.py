from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.support.ava import ava, ava_face, measure

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.preview.build_ava import FOLDER, draw_picture, face_box, mouth_mask, picture_times
from avatar_inference.preview.motion import SECONDS, apply_pose, pose_at
from avatar_inference.preview.mouth import REST
from avatar_inference.preview.rig import HEAD_ARRAY, RigFace, ava_drawing

COUNT = len(ava().times_us)


def blink_picture() -> int:
    return max(range(COUNT), key=lambda picture: pose_at(ava().times_us[picture] / 1e6).closed)


@pytest.mark.parametrize("picture", [0, blink_picture(), COUNT - 1])
def test_the_committed_pictures_are_what_the_drawing_gives(picture: int) -> None:
    pose, box = pose_at(picture_times()[picture]), ava().boxes[picture]
    assert box is not None
    drawn = draw_picture(pose, box).astype(int)
    assert np.abs(drawn - ava().pictures[picture]).max() <= 1, (
        "run python -m avatar_inference.preview.build_ava"
    )


def test_the_committed_places_are_what_the_motion_gives() -> None:
    times = picture_times()
    assert list(ava().times_us) == [round(time * 1e6) for time in times]
    assert list(ava().boxes) == [face_box(pose_at(time)) for time in times]
    heads = np.array([pose_at(time).head for time in times])
    assert np.abs(heads - ava().arrays[HEAD_ARRAY]).max() < 1e-3
    mask = ava().masks[0]
    assert mask is not None
    assert np.abs(mask.astype(int) - mouth_mask()).max() <= 1
    assert all(other is mask or (other == mask).all() for other in ava().masks if other is not None)


def test_the_bundle_is_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 3_000_000


def test_the_mask_is_soft_and_ends_within_the_crop() -> None:
    mask = ava().masks[0]
    assert mask is not None
    assert not mask[0].any()
    assert not mask[-1].any()
    assert not mask[:, [0, -1]].any()
    assert not mask[:108].any(), "eyes and nose keep the picture's own pixels"
    for axis in (0, 1):
        assert np.abs(np.diff(mask.astype(int), axis=axis)).max() < 64


@pytest.mark.parametrize("picture", range(COUNT))
def test_the_mouth_is_closed_in_every_picture(picture: int) -> None:
    mouth = measure(ava_face().draw(picture, REST))
    assert mouth.inside == 0
    assert 75 < mouth.width < 90


def test_the_motion_stands_still_at_both_ends() -> None:
    for end, beside in ((0.0, 0.005), (SECONDS, SECONDS - 0.005)):
        assert np.abs(pose_at(end).head - pose_at(beside).head).max() < 2e-3
        assert pose_at(end).gaze == pytest.approx(pose_at(beside).gaze, abs=1e-3)
        assert pose_at(end).closed == 0


def test_the_head_moves_a_little_and_the_eyes_blink_once() -> None:
    poses = [pose_at(i / 100) for i in range(round(SECONDS * 100) + 1)]
    chins = np.array([pose.head @ (256, 378, 1) for pose in poses])
    assert 1 < np.ptp(chins, axis=0).max() < 8
    assert np.abs(np.diff(chins, axis=0)).max() < 0.1, "pixels in 10 ms"
    closed = np.array([pose.closed for pose in poses]) > 0.5
    assert np.diff(closed.astype(int)).clip(0).sum() == 1
    assert 5 <= closed.sum() <= 30, "hundredths of a second"


def test_a_pose_changes_only_what_follows_it() -> None:
    posed = apply_pose(ava_drawing(), replace(pose_at(0.0), lift=2.0))
    assert posed.find("background").effects.matrix.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert posed.find("brows").effects.matrix[1, 2] == -2
    assert posed.find("face").effects.matrix.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert (posed.find("head").effects.matrix == pose_at(0.0).head).all()


@pytest.mark.parametrize(
    "heads",
    [
        np.zeros((COUNT, 2, 3), np.float32),
        np.full((COUNT, 2, 3), np.nan, np.float32),
        np.tile(np.eye(2, 3, dtype=np.float32) * 50, (COUNT, 1, 1)),
        np.tile(np.eye(2, 3, dtype=np.float32), (COUNT - 1, 1, 1)),
        np.zeros(3, np.float32),
        np.array(["x"] * COUNT),
        np.tile(np.array([[1, 0, 900], [0, 1, 0]], np.float32), (COUNT, 1, 1)),
        np.tile(np.array([[1, 0, 0], [0, 1, -1e30]], np.float32), (COUNT, 1, 1)),
    ],
    ids=["flat", "nan", "huge", "too few", "wrong shape", "no numbers", "beside", "far above"],
)
def test_a_forged_bundle_is_refused(heads: np.ndarray) -> None:
    with pytest.raises(InvalidInputError) as caught:
        RigFace(replace(ava(), arrays={HEAD_ARRAY: heads}))
    assert caught.value.reason is Reason.AVATAR_INVALID


def test_boxes_that_would_resample_the_picture_are_refused() -> None:
    boxes = [box and replace(box, width=128, height=128) for box in ava().boxes]
    with pytest.raises(InvalidInputError):
        RigFace(replace(ava(), boxes=boxes))
