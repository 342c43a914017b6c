"""Known colours through encoder and decoders: BT.709 limited range, converted and tagged."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from tests.support.colours import PATCHES, bt709_to_rgb, encode_patches, patch_picture, patch_values

from avatar_core.media.mp4 import remux


@pytest.fixture(params=["fragments", "published"])
def patches(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    fragments = tmp_path / "fragments.mp4"
    fragments.write_bytes(encode_patches())
    if request.param == "fragments":
        return fragments.read_bytes()
    remux(fragments, tmp_path / "video.mp4", {})
    return (tmp_path / "video.mp4").read_bytes()


def last_frame(data: bytes) -> av.VideoFrame:
    with av.open(BytesIO(data)) as container:
        return list(container.decode(video=0))[-1]


def test_the_arithmetic_of_the_standard_gives_the_patches_back(patches: bytes) -> None:
    planes = last_frame(patches).to_ndarray(format="yuv444p")
    got = patch_values(bt709_to_rgb(planes))
    assert np.abs(got - np.array(PATCHES)).max() <= 4


def test_ffmpeg_gives_the_patches_back(patches: bytes) -> None:
    frame = last_frame(patches)
    got = patch_values(frame.to_ndarray(format="rgb24"))
    assert np.abs(got - np.array(PATCHES)).max() <= 4


def test_stream_and_container_say_bt709_limited(patches: bytes) -> None:
    frame = last_frame(patches)
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)
    with av.open(BytesIO(patches)) as container:
        context = container.streams.video[0].codec_context
        tags = context.colorspace, context.color_primaries, context.color_trc, context.color_range
    assert tags == (1, 1, 1, 1)
    assert b"colrnclx\0\1\0\1\0\1\0" in patches


def test_the_bitstream_alone_says_so_too() -> None:
    decoder = av.CodecContext.create("h264", "r")
    data = encode_patches(fragmented=False)
    frame = [f for packet in decoder.parse(data) for f in decoder.decode(packet)][-1]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)


def test_bt601_would_be_found() -> None:
    """The yardstick itself: pictures converted by the other standard are off by far more."""
    wrong = av.VideoFrame.from_ndarray(patch_picture(), "rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU601"
    )
    got = patch_values(bt709_to_rgb(wrong.to_ndarray(format="yuv444p")))
    assert np.abs(got - np.array(PATCHES)).max() > 10
