"""What a client asks of a preparation arrives at the engine as it was asked, or is refused by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st
from tests.support.landmarks import ASTRONAUT, given
from tests.support.portraits import FACE, astronaut, save

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.client import InferenceClient, Prepared
from avatar_inference.engine import PrepareOptions, RepaintOptions
from avatar_inference.preview.engine import PreviewEngine
from avatar_inference.repaint import repaint_message, repaint_options
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb

OPTIONS = st.builds(
    RepaintOptions,
    landmarks=st.sampled_from([None, given(ASTRONAUT), given(None, ASTRONAUT)]),
    landmarks_size=st.none() | st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    smooth=st.booleans(),
    mask=st.sampled_from(["landmarks", "jaw", "raw", "neck"]),
    cheeks=st.tuples(st.integers(0, 256), st.integers(0, 256)),
    margin=st.none() | st.integers(0, 400),
    shift=st.integers(-400, 400),
    still_ends=st.booleans(),
)


def same(first: RepaintOptions, second: RepaintOptions) -> bool:
    for field in fields(RepaintOptions):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name == "landmarks" and one is not None:
            np.testing.assert_array_equal(one, other)
        elif one != other:
            return False
    return True


@given_by(options=OPTIONS)
def test_options_survive_the_wire(options: RepaintOptions) -> None:
    sent = repaint_message(options).SerializeToString()
    assert same(repaint_options(pb.Repaint.FromString(sent)), options)


def test_an_empty_message_is_the_defaults() -> None:
    assert same(repaint_options(pb.Repaint()), RepaintOptions())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cheek_left", 257),
        ("cheek_right", 2**32 - 1),
        ("margin", 401),
        ("shift", 401),
        ("shift", -401),
        ("landmarks_width", 8193),
        ("landmarks_height", 8193),
        ("mask", 5),
        ("landmarks", b"123"),
    ],
)
def test_what_is_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        repaint_options(pb.Repaint(**{name: value}))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_ARGUMENT, f"config.repaint.{name}")


async def pieces(path: Path) -> AsyncIterator[bytes]:
    yield path.read_bytes()


async def prepared(client: InferenceClient, path: Path, **options: Any) -> Prepared:
    async for event in client.prepare(pieces(path), **options):
        if isinstance(event, Prepared):
            return event
    raise AssertionError("no result")


async def test_the_engine_gets_what_the_client_asked(
    client: InferenceClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[PrepareOptions] = []
    engine_s = PreviewEngine.prepare

    def noted(self: PreviewEngine, source: Path, options: PrepareOptions, progress: Any) -> Any:
        asked.append(options)
        return engine_s(self, source, options, progress)

    monkeypatch.setattr(PreviewEngine, "prepare", noted)
    repaint = RepaintOptions(landmarks=given(ASTRONAUT), landmarks_size=(512, 512), mask="neck", margin=0)
    path = save(astronaut(), tmp_path / "photo.png")
    box = (FACE.x, FACE.y, FACE.width, FACE.height)
    made = await prepared(
        client, path, name="she", face_box=box, fps=Fraction(30000, 1001), side_max=400, repaint=repaint
    )
    assert (made.width, made.height) == (400, 400)
    await prepared(client, path, face_box=box)
    assert (asked[0].name, asked[0].face_box, asked[0].fps) == ("she", box, Fraction(30000, 1001))
    assert asked[0].side_max == 400
    assert same(asked[0].repaint, repaint)
    assert (asked[1].fps, asked[1].side_max) == (None, 1280)
    assert same(asked[1].repaint, RepaintOptions())


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"fps": Fraction(4)}, "config.frame_rate"),
        ({"fps": Fraction(61)}, "config.frame_rate"),
        ({"side_max": 127}, "config.side_max"),
        ({"side_max": 4097}, "config.side_max"),
        ({"repaint": RepaintOptions(margin=401)}, "config.repaint.margin"),
    ],
)
async def test_the_server_refuses_by_name(
    client: InferenceClient, tmp_path: Path, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await prepared(client, save(astronaut(), tmp_path / "photo.png"), **options)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_ARGUMENT, field)
