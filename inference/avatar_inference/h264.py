"""Pictures to H.264, one at a time and without delay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from avatar_core.errors import AvatarError, Reason
from avatar_inference.bundle import Picture
from avatar_inference.fmp4 import Unit, VideoTrack

BT709, LIMITED = 1, 1
"""Code points of ITU-T H.273 and of FFmpeg's colour range."""
SEQUENCE_PARAMETERS, PICTURE_PARAMETERS = 7, 8


@dataclass(frozen=True, slots=True)
class H264Encoder:
    """A codec by FFmpeg's name, and its options."""

    codec: str
    options: Mapping[str, str] = field(default_factory=dict)


def h264_encoder() -> H264Encoder:
    """The H.264 encoder in use: the one place that knows.

    x264 (GPL; PyAV's wheels carry it) without look-ahead: the first bytes leave with the first picture. Where
    PyAV was built without GPL parts, Cisco's OpenH264 (BSD).

    Raises:
        AvatarError: MissingDependency when PyAV has neither.
    """
    x264 = {"preset": "veryfast", "crf": "23", "tune": "zerolatency", "bf": "0", "sc_threshold": "0"}
    for encoder in (H264Encoder("libx264", x264), H264Encoder("libopenh264", {"rc_mode": "quality"})):
        if encoder.codec in av.codecs_available:
            return encoder
    raise AvatarError(
        Reason.MISSING_DEPENDENCY, "PyAV has no H.264 encoder; install the `av` wheel from PyPI"
    )


def video_timescale(fps: Fraction) -> int:
    """Ticks per second in which a frame lasts a whole number of ticks, and at least 10,000."""
    return fps.numerator * (1 if fps.numerator >= 10_000 else 1000)


class PictureEncoder:
    """Encodes the pictures of one stream; a keyframe about every second, no B-frames, one thread.

    Args:
        source: (width, height) of the pictures.
        size: (width, height) of the video.
        fps: frames per second.
        annex_b: start codes, and parameter sets with each keyframe; else 4-byte lengths and none.
    """

    def __init__(
        self, source: tuple[int, int], size: tuple[int, int], fps: Fraction, *, annex_b: bool
    ) -> None:
        self._source, self._size, self._annex_b = source, size, annex_b
        self.timescale = video_timescale(fps)
        self._duration = int(self.timescale / fps)
        self._context = _open(size, fps, annex_b=annex_b)
        self._reformatter = VideoReformatter()
        self._frames = 0

    def encode(self, picture: Picture) -> list[Unit]:
        """Takes uint8 RGB [H, W, 3] of the source size; returns what is ready: with x264, this one."""
        if picture.shape != (self._source[1], self._source[0], 3):
            raise ValueError(f"picture of shape {picture.shape}, not {(self._source[1], self._source[0], 3)}")
        rgb = av.VideoFrame.from_numpy_buffer(picture, "rgb24")
        # PyAV's implicit conversion is BT.601 whatever the tags say.
        frame = self._reformatter.reformat(
            rgb,
            width=self._size[0],
            height=self._size[1],
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
        )
        frame.pts, frame.time_base = self._frames, self._context.time_base
        frame.color_primaries = frame.color_trc = BT709
        self._frames += 1
        return [self._unit(packet) for packet in self._context.encode(frame)]

    def close(self) -> list[Unit]:
        """What the encoder still holds."""
        return [self._unit(packet) for packet in self._context.encode(None)]

    def track(self) -> VideoTrack:
        """What a player must know."""
        sets = {nal[0] & 0x1F: nal for nal in nal_units(self._context.extradata or b"")}
        width, height = self._size
        return VideoTrack(self.timescale, width, height, sets[SEQUENCE_PARAMETERS], sets[PICTURE_PARAMETERS])

    def _unit(self, packet: av.Packet) -> Unit:  # type: ignore[type-arg]
        assert packet.pts is not None
        data = bytes(packet) if self._annex_b else _with_lengths(bytes(packet))
        return Unit(packet.pts * self._duration, self._duration, packet.is_keyframe, data)


def _open(size: tuple[int, int], fps: Fraction, *, annex_b: bool) -> VideoCodecContext:
    encoder = h264_encoder()
    context = cast("VideoCodecContext", av.CodecContext.create(encoder.codec, "w"))
    context.width, context.height = size
    context.pix_fmt = "yuv420p"
    context.framerate, context.time_base = fps, 1 / fps
    context.gop_size = round(fps)
    context.thread_count = 1
    context.max_b_frames = 0
    context.options = dict(encoder.options)
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED
    if not annex_b:
        context.flags |= Flags.global_header
    context.open()
    return context


def nal_units(stream: bytes) -> Iterator[bytes]:
    """NAL units of an Annex B stream, without start codes."""
    for part in stream.split(b"\0\0\1"):
        # A zero before the start code belongs to it (or pads); a NAL unit never ends in zero.
        if nal := part.rstrip(b"\0"):
            yield nal


def _with_lengths(stream: bytes) -> bytes:
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nal_units(stream))
