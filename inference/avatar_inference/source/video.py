"""Reading a short video: its first track to upright RGB at real times, one picture at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from avatar_core import limits
from avatar_inference.bundle import Picture
from avatar_inference.source.source import (
    Source,
    TimedPicture,
    check_size,
    even,
    fitted,
    invalid_picture,
)

_OPTIONS = {
    # Only containers that hold their pictures themselves: a playlist (hls, dash, concat) opens other files.
    "format_whitelist": "mov,matroska,webm,avi,mpegts,mpeg,gif",
    "max_pixels": str(limits.SOURCE_PIXELS_MAX),
}
_STILL_BRANDS = {"heic", "heix", "mif1", "avif"}
_MIN_STEP_US = 25_000
"""Pictures that follow faster are left out: no video is made of more than 30 a second."""
_SECONDS_REFUSED = limits.SOURCE_SECONDS_MAX + 0.5
_DECODED_MAX = 8 * limits.SOURCE_PICTURES_MAX
_SCALER = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
)
_UNSPECIFIED = 2
_HDR = {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}


def open_video(path: Path, side_max: int) -> Source:
    """Opens a video and looks at its first picture.

    Args:
        path: the file.
        side_max: larger pictures are scaled down to this long side, in pixels.

    Raises:
        InvalidInputError: not a video, no video track, longer than 60 s, too small or too large.
    """
    with _opened(path) as (container, stream):
        if stream.duration and stream.time_base and stream.duration * stream.time_base > _SECONDS_REFUSED:
            raise _too_long()
        first = next(container.decode(stream), None)
        if first is None:
            raise invalid_picture("the video has no pictures; give a photograph or another video")
        width, height, scale = fitted(*_square_size(first, stream), side_max)
        if _quarter_turns(first) % 2:
            width, height = height, width
    width, height = width & ~1, height & ~1
    return Source(width, height, scale, lambda: _frames(path, (height, width, 3), side_max))


def _too_long() -> Exception:
    return invalid_picture(
        f"the video is longer than {limits.SOURCE_SECONDS_MAX} s or {limits.SOURCE_PICTURES_MAX} pictures; "
        "cut it: a few seconds are enough, they are played forth and back"
    )


def _too_much() -> Exception:
    return invalid_picture(
        "the video has more pixels than a minute of 4K at 60 pictures a second; scale it down or cut it"
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its first real video track; every decoder error inside becomes InvalidInputError."""
    try:
        # Through a Python file the library can read this file and nothing else.
        with path.open("rb") as file, av.open(file, "r", options=_OPTIONS) as container:
            if container.metadata.get("major_brand", "").strip() in _STILL_BRANDS:
                raise invalid_picture("HEIC and AVIF photographs are not read; save it as JPEG or PNG")
            tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
            if not tracks:
                raise invalid_picture("the file has no video track; give a photograph or a video of a face")
            if tracks[0].codec_context is None:
                raise invalid_picture("the video's codec is not known here; save it as H.264 in MP4")
            tracks[0].codec_context.options = {"max_pixels": _OPTIONS["max_pixels"]}
            tracks[0].thread_count = 2
            tracks[0].thread_type = "AUTO"
            check_size(tracks[0].width, tracks[0].height)
            yield container, tracks[0]
    except (av.error.FFmpegError, OSError, ValueError, UnicodeError) as error:
        raise invalid_picture(
            "is neither a photograph (JPEG, PNG, WebP) nor a readable video (MP4, MOV, WebM, MKV, AVI); "
            f"the decoder says: {error.strerror if isinstance(error, OSError) else error}"
        ) from error


def _frames(path: Path, shape: tuple[int, ...], side_max: int) -> Iterator[TimedPicture]:
    with _opened(path) as (container, stream):
        reformatter = VideoReformatter()
        start = last = None
        kept = pixels = 0
        for count, frame in enumerate(container.decode(stream)):
            pixels += frame.width * frame.height
            if pixels > limits.SOURCE_VIDEO_PIXELS_MAX:
                raise _too_much()
            now = _time_us(frame, stream, count)
            start = now if start is None else start
            if last is not None and now - last < _MIN_STEP_US:
                if count >= _DECODED_MAX:
                    raise _too_long()
                continue
            if now - start > limits.SOURCE_SECONDS_MAX * 1_000_000 or kept == limits.SOURCE_PICTURES_MAX:
                raise _too_long()
            picture = _rgb(frame, stream, reformatter, side_max)
            if picture.shape != shape:
                raise invalid_picture("the video changes its size on the way; save it anew with one size")
            kept, last = kept + 1, now
            yield TimedPicture(now - start, picture, count)


def _time_us(frame: VideoFrame, stream: VideoStream, count: int) -> int:
    if frame.pts is not None and frame.time_base is not None:
        return int(frame.pts * frame.time_base * 1_000_000)
    return int(count * 1_000_000 / (stream.average_rate or Fraction(25)))


def _square_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Size with square pixels, before rotation."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return round(frame.width * aspect), frame.height


def _quarter_turns(frame: VideoFrame) -> int:
    """Counter-clockwise, as the display matrix and rot90 turn."""
    return round(frame.rotation / 90)


def _rgb(frame: VideoFrame, stream: VideoStream, reformatter: VideoReformatter, side_max: int) -> Picture:
    """The frame as uint8 RGB [H, W, 3]: scaled, converted by its colour tags, upright, even.

    One reformatter for all: preparing to convert a phone's HDR takes seconds, converting milliseconds.
    """
    width, height, _ = fitted(*_square_size(frame, stream), side_max)
    hdr = frame.color_trc in _HDR
    converted = reformatter.reformat(
        frame,
        width,
        height,
        "rgb24",
        src_colorspace=_untagged_colorspace(frame) if frame.colorspace == _UNSPECIFIED else None,
        interpolation=_SCALER,
        dst_color_trc=ColorTrc.BT709 if hdr else None,
        dst_color_primaries=ColorPrimaries.BT709 if hdr else None,
        threads=1,
    )
    return np.ascontiguousarray(even(np.rot90(converted.to_ndarray(), _quarter_turns(frame))))


def _untagged_colorspace(frame: VideoFrame) -> Colorspace:
    """What players assume: BT.709 from high definition on."""
    return Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601
