from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.ava import ava, ava_face

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Box, Bundle
from avatar_inference.engine import Engine, EngineFrame
from avatar_inference.preview.engine import PreviewEngine
from avatar_inference.preview.lips import LipListener
from avatar_inference.preview.mouth import MouthShape
from avatar_inference.preview.rig import RigFace
from avatar_inference.preview.warp import PhotoFace

UNIT = st.floats(0, 1)
FRAMES = st.lists(st.tuples(st.integers(0, 30), st.builds(MouthShape, UNIT, UNIT, UNIT, UNIT)), max_size=5)


def test_it_is_an_engine_that_says_what_it_is() -> None:
    engine: Engine = PreviewEngine()
    assert engine.name == "preview"
    assert list(engine.receipt.notes) == ["drawn preview, not a trained face model"]
    assert list(engine.batch_sizes) == []


def test_ava_is_built_in_and_nothing_else() -> None:
    engine = PreviewEngine()
    folder = engine.builtin("ava")
    assert isinstance(folder, Path)
    assert {file.name for file in folder.iterdir()} == {"manifest.json", "pictures.mkv", "arrays.safetensors"}
    assert engine.builtin("../ava") is None
    assert engine.builtin("") is None


def test_the_bundle_decides_what_kind_of_face_it_is() -> None:
    assert isinstance(PreviewEngine().load(ava()), RigFace)
    photo = Bundle(
        name="photo",
        engine="preview",
        width=256,
        height=256,
        times_us=[0],
        boxes=[Box(0, 0, 256, 256)],
        masks=[np.full((256, 256), 255, np.uint8)],
        pictures=[np.full((256, 256, 3), 128, np.uint8)],
        arrays={
            "photo.mouth": np.array([[128, 107, 40, 0]], np.float32),
            "photo.lips": np.array([[0, 8]], np.float32),
        },
    )
    assert isinstance(PreviewEngine().load(photo), PhotoFace)


def test_a_bundle_of_another_engine_or_of_no_kind_is_refused() -> None:
    for bundle in (replace(ava(), engine="musetalk"), replace(ava(), arrays={})):
        with pytest.raises(InvalidInputError) as caught:
            PreviewEngine().load(bundle)
        assert caught.value.reason is Reason.AVATAR_INVALID


def test_it_listens_for_lips() -> None:
    assert isinstance(PreviewEngine().features(Fraction(15), live=False), LipListener)


@given(FRAMES, st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_frames_do_not_depend_on_their_batch(frames: list[tuple[int, MouthShape]], size: int) -> None:
    engine = PreviewEngine()
    asked = [EngineFrame(ava_face(), picture, shape) for picture, shape in frames]
    together = engine.render(asked)
    assert together.shape == (len(frames), 256, 256, 3)
    assert together.dtype == np.uint8
    fresh = [replace(frame, avatar=RigFace(ava())) for frame in reversed(asked)]
    apart = [crop for at in range(0, len(fresh), size) for crop in engine.render(fresh[at : at + size])]
    for one, other in zip(together, reversed(apart), strict=True):
        assert (one == other).all()
