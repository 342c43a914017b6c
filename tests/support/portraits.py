"""A portrait, and photographs and clips made of it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data
from PIL import Image

from avatar_inference.bundle import Box, Picture
from avatar_inference.engine import Prepared, PrepareOptions
from avatar_inference.preview.prepare import prepare_photo

FACE = Box(176, 66, 96, 96)
"""Where the face is in `astronaut`."""
MOUTH = (223.0, 148.0)
"""The middle of the lower edge of her upper teeth."""


def astronaut() -> Picture:
    """Eileen Collins by NASA, public domain: uint8 [512, 512, 3], one face, smiling with bare teeth."""
    picture: Picture = np.array(skimage.data.astronaut())
    return picture


def faceless(height: int = 512, width: int = 512) -> Picture:
    """A cup of coffee."""
    return np.asarray(Image.fromarray(skimage.data.coffee()).resize((width, height)))


def without_face(picture: Picture) -> Picture:
    """The same picture, the face painted over with the wall behind it."""
    painted = picture.copy()
    painted[40:190, 150:310] = picture[20, 150]
    return painted


def moved(picture: Picture, right: int, down: int) -> Picture:
    """The picture's content moved by so many pixels, its edges carried on."""
    rows = np.clip(np.arange(picture.shape[0]) - down, 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(picture.shape[1]) - right, 0, picture.shape[1] - 1)
    moved: Picture = picture[rows[:, None], columns]
    return moved


def save(picture: Picture, path: Path, **options: object) -> Path:
    Image.fromarray(picture).save(path, **options)
    return path


def write_clip(
    path: Path,
    pictures: Sequence[Picture],
    times_ms: Sequence[int] | None = None,
    *,
    codec: str = "ffv1",
    pix_fmt: str = "bgr0",
    tags: tuple[int, ...] | None = None,
) -> Path:
    """A clip of these pictures, lossless unless another codec is named.

    `tags` are FFmpeg's numbers of colour matrix and range, by which the pictures are converted, and perhaps
    of transfer curve and primaries, which are only written down.
    """
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream(codec, rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = 1
        if codec == "libx264":
            stream.options = {"crf": "4", "preset": "ultrafast"}
        if tags is not None:
            _tag(stream.codec_context, tags)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            if tags is not None:
                frame = frame.reformat(format=pix_fmt, dst_colorspace=tags[0], dst_color_range=tags[1])
                _tag(frame, tags)
            frame.pts = times_ms[number] if times_ms is not None else number * 40
            frame.time_base = Fraction(1, 1000)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    return path


def _tag(tagged: object, tags: tuple[int, ...]) -> None:
    for name, value in zip(("colorspace", "color_range", "color_trc", "color_primaries"), tags, strict=False):
        setattr(tagged, name, value)


def turn_mp4(path: Path, degrees: int) -> Path:
    """Writes into an MP4's track header that its pictures are to be shown turned clockwise."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4
    matrix = start + (40 if data[start] == 0 else 52)
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(
        ">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30
    )
    path.write_bytes(data)
    return path


def prepare(path: Path, **options: object) -> Prepared:
    return prepare_photo(path, PrepareOptions("someone", **options), lambda stage, done, total: None)  # type: ignore[arg-type]
