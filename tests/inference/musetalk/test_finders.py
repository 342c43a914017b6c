"""Which networks a preparation loads, from a folder of weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.inference.musetalk.expected import reading, seeded

from avatar_core.errors import AvatarError, Reason
from avatar_inference.engine import MaskMode, PrepareOptions, RepaintOptions
from avatar_inference.musetalk.bisenet import BiSeNet
from avatar_inference.musetalk.faces import FaceFinder
from avatar_inference.musetalk.finders import Finders, load_finders
from avatar_inference.musetalk.labels import FaceParser
from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.points import PointFinder
from avatar_inference.musetalk.rtmpose import RtmPose
from avatar_inference.musetalk.s3fd import S3fd
from avatar_inference.musetalk.weights import write_weights

CPU = torch.device("cpu")
SEED = 4
GIVEN = np.zeros((1, 68, 2), np.float32)


def encode(crops: NDArray[np.uint8]) -> NDArray[np.float16]:
    return np.zeros((len(crops), 8, 32, 32), np.float16)


NETWORKS = {
    "landmarks": lambda: reading.filled(RtmPose(TINY.finder_width), seeded.rtmpose_weights, SEED),
    "detector": lambda: reading.filled(S3fd(TINY.finder_width), seeded.s3fd_weights, SEED),
    "parser": lambda: reading.filled(BiSeNet(TINY.finder_width), seeded.bisenet_weights, SEED),
}


def load(
    folder: Path,
    parts: Sequence[str],
    landmarks: NDArray[np.float32] | None = None,
    mask: MaskMode = "landmarks",
) -> Finders:
    write_weights(folder, {part: NETWORKS[part]().state_dict() for part in parts}, TINY)
    options = PrepareOptions(name="someone", repaint=RepaintOptions(landmarks=landmarks, mask=mask))
    return load_finders(folder, CPU, options, encode)


def test_given_points_and_a_mask_of_them_need_no_network(tmp_path: Path) -> None:
    found = load(tmp_path, ["landmarks", "detector", "parser"], landmarks=GIVEN)
    assert (found.points, found.faces, found.labels) == (None, None, None)
    assert found.encode is encode


def test_looking_needs_points_and_uses_the_detector_where_it_is(tmp_path: Path) -> None:
    shown = seeded.picture(1, 200, 160)
    alone = load(tmp_path / "a", ["landmarks"])
    assert alone.points is not None
    np.testing.assert_array_equal(alone.points(shown), PointFinder(NETWORKS["landmarks"](), CPU)(shown))
    assert (alone.faces, alone.labels) == (None, None)
    both = load(tmp_path / "b", ["landmarks", "detector"])
    assert both.faces is not None
    assert both.faces(shown) == FaceFinder(NETWORKS["detector"](), CPU)(shown)


@pytest.mark.parametrize("mask", ["jaw", "raw", "neck"])
def test_upstreams_masks_need_the_parser(mask: MaskMode, tmp_path: Path) -> None:
    shown = seeded.picture(1, 200, 200)
    found = load(tmp_path, ["parser"], landmarks=GIVEN, mask=mask)
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels(shown), FaceParser(NETWORKS["parser"](), CPU)(shown))


@pytest.mark.parametrize(
    ("there", "landmarks", "mask", "wanted"),
    [
        ("parser", None, "jaw", ["the part landmarks", "avatar weights fetch", "--landmarks FILE"]),
        ("landmarks", None, "jaw", ["the part parser", "--with parser", "--mask landmarks"]),
        ("landmarks", GIVEN, "neck", ["the part parser", "--with parser", "'neck'"]),
    ],
)
def test_missing_parts_are_named_with_the_command(
    there: str, landmarks: NDArray[np.float32] | None, mask: MaskMode, wanted: list[str], tmp_path: Path
) -> None:
    with pytest.raises(AvatarError) as caught:
        load(tmp_path, [there], landmarks, mask)
    assert caught.value.reason is Reason.WEIGHTS_MISSING
    assert caught.value.info.grpc == "FAILED_PRECONDITION"
    for words in wanted:
        assert words in caught.value.message


def test_no_folder_is_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(AvatarError, match="avatar weights fetch") as caught:
        load_finders(tmp_path / "none", CPU, PrepareOptions(name="someone"), encode)
    assert caught.value.reason is Reason.WEIGHTS_MISSING
