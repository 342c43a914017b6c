"""Any sound file or stream FFmpeg reads, as blocks of 16-bit PCM at its own rate.

Only containers that hold their own data are opened: playlists, concatenations and network addresses inside a
file lead nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import MAX_AUDIO_SECONDS, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN
from avatar_core.media.wav import Readable, WavHead

CONTAINERS = (
    *(
        "wav",
        "w64",
        "aiff",
        "caf",
        "au",
        "mp3",
        "aac",
        "flac",
        "ogg",
        "amr",
        "ac3",
        "eac3",
        "wv",
        "tta",
        "ape",
    ),
    *("mov", "mp4", "m4a", "matroska", "webm", "mpegts", "asf", "avi"),
)
"""What FFmpeg may take a file for: containers that hold their own data."""
HEADER_TELLS_LENGTH = frozenset({"wav", "w64", "aiff", "caf", "flac", "mov", "matroska", "ape", "wv", "tta"})
"""Containers whose stream length is written down, so that a shorter one was cut off."""
CUT_OFF_SECONDS = 0.25
"""Missing sound beyond this is a cut-off file, not a rounded length."""
BAD_PACKETS = 3
"""Undecodable packets any file may have, such as a tag at the end of an MP3."""
DECODER_THREADS = 2
WAV_PROBE_BYTES = "4096"

Block = NDArray[np.int16]
"""int16 [n, channels], n >= 1."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Sound being decoded.

    Attributes:
        rate: samples per second, 8000 to 48000: the source's own, or the nearest of these.
        channels: 1 or 2; more are mixed down to 2.
        blocks: the sound in order, decoded as it is asked for. Raises as `read_sound` does.
    """

    rate: int
    channels: int
    blocks: Iterator[Block]


def read_sound(source: bytes | Path | Readable, *, max_seconds: float = MAX_AUDIO_SECONDS) -> Sound:
    """Opens sound of any container and codec; rate and channels are known before the first block is read.

    Args:
        source: a whole file, its path, or an object with `read`, which may still be receiving.
        max_seconds: longest sound taken. Of a file that can seek a longer one is refused at once.

    Raises:
        InvalidInputError: InvalidAudio, when there is no sound track, or it cannot be decoded, is cut off or
            holds numbers that are not finite; AudioTooLong.
        Exception: whatever the object's `read` raises.
    """
    with ExitStack() as cleanup:
        head = WavHead(_readable(source, cleanup))
        container = cleanup.enter_context(_open(head))
        declared = head.seconds() or _declared_seconds(container)
        if declared > max_seconds and head.seekable():
            _refuse_too_long(container, max_seconds)
            head.seek(0)
            container = cleanup.enter_context(_open(head))
        blocks = _decode(container, max_seconds, declared)
        first = next(blocks, None)
        if first is None:
            raise _invalid("its sound track is empty")
        rate, block = first
        return Sound(rate, block.shape[1], _closing(block, blocks, cleanup.pop_all()))


def _closing(first: Block, blocks: Iterator[tuple[int, Block]], cleanup: ExitStack) -> Iterator[Block]:
    with cleanup:
        yield first
        for _, block in blocks:
            yield block


def _readable(source: bytes | Path | Readable, cleanup: ExitStack) -> Readable:
    if isinstance(source, bytes):
        return BytesIO(source)
    if isinstance(source, Path):
        try:
            return cleanup.enter_context(source.open("rb"))
        except OSError as error:
            raise _invalid(f"{source.name} cannot be opened: {error.strerror}") from None
    return source


def _open(stream: WavHead) -> InputContainer:
    options = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "none"}
    if stream.arriving:
        options["probesize"] = (
            WAV_PROBE_BYTES  # else the first 4 s of 24 kHz are awaited in search of more streams
        )
    try:
        # Tags may be in any encoding; they are not looked at.
        container = av.open(stream, "r", options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        raise _invalid(f"it is no sound file that can be read ({error.strerror})") from None
    sound = next(iter(container.streams.audio), None)
    if sound is None or sound.codec_context is None:
        container.close()
        raise _invalid("it has no sound track that can be decoded")
    sound.codec_context.thread_count = DECODER_THREADS
    return container


def _decode(container: InputContainer, max_seconds: float, declared: float) -> Iterator[tuple[int, Block]]:
    """Pairs of rate and block. Checks the length where the container tells it."""
    resampler: av.AudioResampler | None = None
    rate = given = 0
    for frame in _frames(container):
        if resampler is None:
            rate = min(max(frame.sample_rate, SAMPLE_RATE_MIN), SAMPLE_RATE_MAX)
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            resampler = av.AudioResampler("s16", layout, rate)
        for block in _convert(resampler, frame):
            given += len(block)
            if given > max_seconds * rate:
                raise _too_long(max_seconds)
            yield rate, block
    if resampler is not None:
        for block in _convert(resampler, None):
            given += len(block)
            yield rate, block
        _check_whole(container, declared, given / rate)


def _frames(container: InputContainer) -> Iterator[av.AudioFrame]:
    stream = container.streams.audio[0]
    good = bad = 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                bad += 1
                if bad > BAD_PACKETS and bad * 20 > good:
                    raise
                continue
            good += 1
            for frame in frames:
                _check_finite(frame)
                yield frame
    except av.FFmpegError as error:
        raise _invalid(f"its sound cannot be decoded ({error.strerror})") from None


def _convert(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[Block]:
    try:
        converted = resampler.resample(frame)
    except (av.FFmpegError, ValueError):
        raise _invalid("its rate or channels change midway") from None
    for part in converted:
        if part is not None and part.samples:
            yield part.to_ndarray().reshape(part.samples, -1).astype(np.int16, copy=False)


def _check_finite(frame: av.AudioFrame) -> None:
    if frame.format.name.startswith(("flt", "dbl")) and not np.isfinite(frame.to_ndarray()).all():
        raise _invalid("it holds samples that are not finite numbers")


def _declared_seconds(container: InputContainer) -> float:
    stream = container.streams.audio[0]
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _refuse_too_long(container: InputContainer, max_seconds: float) -> None:
    """Adds up the packets of a file said to be too long: streamed WAV files declare any length."""
    seconds = 0.0
    try:
        for packet in container.demux(container.streams.audio[0]):
            seconds += float((packet.duration or 0) * packet.time_base) if packet.time_base else 0.0
            if seconds > max_seconds:
                raise _too_long(max_seconds)
    except av.FFmpegError as error:
        raise _invalid(f"its sound cannot be read ({error.strerror})") from None


def _check_whole(container: InputContainer, declared: float, seconds: float) -> None:
    """A length that is written down and within the limit must be there; beyond it, it is a placeholder."""
    told = set(container.format.name.split(",")) & HEADER_TELLS_LENGTH and declared <= MAX_AUDIO_SECONDS
    if told and seconds < declared - max(CUT_OFF_SECONDS, declared / 100):
        raise _invalid(f"it is cut off after {seconds:.2f} of {declared:.2f} s")


def _invalid(what: str) -> InvalidInputError:
    message = f"the sound cannot be used: {what}; give a whole WAV, MP3, FLAC, Ogg, AAC or MP4 file"
    return InvalidInputError(Reason.INVALID_AUDIO, message, field="audio")


def _too_long(max_seconds: float) -> InvalidInputError:
    message = f"the sound is longer than {max_seconds:g} s; cut it into shorter pieces"
    return InvalidInputError(Reason.AUDIO_TOO_LONG, message, field="audio")
