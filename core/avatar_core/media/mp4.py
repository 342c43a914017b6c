"""MP4 files: fragments to a progressive file that plays and seeks anywhere, and what a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from avatar_core.errors import AvatarError, Reason


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a video file holds.

    Attributes:
        duration: of the longer track, seconds.
        video_duration, audio_duration: seconds; what the tracks' own tables say.
        frames: pictures.
        width, height: pixels.
        fps: frames per second.
        video_codec, audio_codec: FFmpeg's names, such as "h264" and "aac".
        sample_rate, channels: of the sound.
        metadata: as written into the file.
    """

    duration: Fraction
    video_duration: Fraction
    audio_duration: Fraction
    frames: int
    width: int
    height: int
    fps: Fraction
    video_codec: str
    audio_codec: str
    sample_rate: int
    channels: int
    metadata: Mapping[str, str]


def remux(fragments: Path, target: Path, metadata: Mapping[str, str]) -> None:
    """Writes a fragmented MP4 as a progressive one, its index in front, from the same packets.

    Memory holds a few packets and the index, not the video.

    Args:
        fragments: init segment and fragments in one file.
        target: replaced if there.
        metadata: added to what the fragments carry.

    Raises:
        AvatarError: Internal, when the fragments are no readable MP4.
        OSError: the target cannot be written.
    """
    try:
        with av.open(fragments, format="mp4") as source:
            options = {
                "movflags": "+faststart+use_metadata_tags",
                "fflags": "+bitexact",
                # Edit lists lie on this grid; the usual 1000 would shorten the sound by up to 1 ms.
                "movie_timescale": str(source.streams.audio[0].codec_context.sample_rate),
            }
            with av.open(target, "w", format="mp4", options=options) as sink:
                kept = {k: v for k, v in source.metadata.items() if k not in _BRANDS}
                sink.metadata.update(kept | dict(metadata))
                streams = {
                    stream.index: sink.add_stream_from_template(stream, opaque=True)
                    for stream in source.streams
                }
                for packet in source.demux():
                    if packet.size:
                        packet.stream = streams[packet.stream_index]
                        sink.mux_one(packet)
    except (av.InvalidDataError, av.EOFError, IndexError) as error:
        raise AvatarError(Reason.INTERNAL, f"the fragments are no readable MP4: {error}") from error


def probe(path: Path) -> VideoFacts:
    """Reads what a video file holds from its index.

    Raises:
        AvatarError: Internal, when it is no video with sound.
    """
    try:
        with av.open(path) as container:
            video, sound = container.streams.video[0], container.streams.audio[0]
            durations = [_length(stream) for stream in (video, sound)]
            return VideoFacts(
                duration=max(durations),
                video_duration=durations[0],
                audio_duration=durations[1],
                frames=video.frames,
                width=video.codec_context.width,
                height=video.codec_context.height,
                fps=Fraction(video.average_rate or 0),
                video_codec=video.codec_context.name,
                audio_codec=sound.codec_context.name,
                sample_rate=sound.codec_context.sample_rate,
                channels=sound.codec_context.channels,
                metadata={k: v for k, v in container.metadata.items() if k not in _BRANDS},
            )
    except (av.FFmpegError, IndexError) as error:
        raise AvatarError(Reason.INTERNAL, f"{path.name} is no video with sound: {error}") from error


_BRANDS = ("major_brand", "minor_version", "compatible_brands")


def _length(stream: av.VideoStream | av.AudioStream) -> Fraction:
    if stream.duration is None or stream.time_base is None:
        return Fraction(0)
    return stream.duration * stream.time_base
