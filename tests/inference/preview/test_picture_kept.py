"""What a render leaves alone stays: in frames decoded from the MP4, outside the mask and at its edges."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from tests.support.ava import ava
from tests.support.renders import collect
from tests.support.sound import babble, pieces

from avatar_inference.client import InferenceClient, RenderConfig

FPS = Fraction(15)
Planes = NDArray[np.float64]


@pytest.fixture
async def decoded(client: InferenceClient) -> list[Planes]:
    """The luma and chroma planes of each frame, float64 [H * 3 / 2, W]."""
    rendered = await collect(client, RenderConfig(sample_rate=16000), pieces(babble(6.0, 16000)))
    with av.open(BytesIO(rendered.data)) as container:
        return [frame.to_ndarray().astype(np.float64) for frame in container.decode(video=0)]


def planes(number: int) -> Planes:
    """The picture behind a frame, converted as an encoder must: BT.709, limited range, 4:2:0."""
    picture = ava().pictures[ava().picture_at(number, FPS)]
    frame = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"),
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
    )
    return frame.to_ndarray().astype(np.float64)


def kept(number: int) -> NDArray[np.bool_]:
    """Where a frame must equal its picture, bool [H, W]."""
    index = ava().picture_at(number, FPS)
    box, mask = ava().boxes[index], ava().masks[index]
    assert box
    assert mask is not None
    everywhere = np.ones((ava().height, ava().width), bool)
    everywhere[box.y : box.y + box.height, box.x : box.x + box.width] = mask == 0
    return everywhere


def decibels(errors: NDArray[np.float64]) -> float:
    """Peak signal to noise ratio of 8-bit samples."""
    return float(10 * np.log10(255**2 / max(1e-9, (errors**2).mean())))


async def test_outside_mouth_and_jaw_every_frame_equals_its_picture(decoded: list[Planes]) -> None:
    height = ava().height
    for number, frame in enumerate(decoded):
        difference, where = frame - planes(number), kept(number)
        luma = difference[:height][where]
        chroma = difference[height:].reshape(2, height // 2, -1)[:, where[::2, ::2]]
        assert decibels(np.concatenate([luma, chroma.ravel()])) >= 45


async def test_no_edge_of_the_box_can_be_seen(decoded: list[Planes]) -> None:
    """Steps across the box's border are those of the picture, frame by frame."""
    for number, frame in enumerate(decoded):
        box = ava().boxes[ava().picture_at(number, FPS)]
        assert box
        added = frame[: ava().height] - planes(number)[: ava().height]
        rows, columns = slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)
        for x in (box.x, box.x + box.width):
            assert np.abs((added[rows, x] - added[rows, x - 1]).mean()) < 1
        for y in (box.y, box.y + box.height):
            assert np.abs((added[y, columns] - added[y - 1, columns]).mean()) < 1
