"""One stream's pictures and sound to the pieces a client receives: fMP4 fragments or single access units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from avatar_core.timeline import samples_until
from avatar_inference.aac import SoundEncoder
from avatar_inference.bundle import Picture
from avatar_inference.fmp4 import Unit, fragment, init_segment
from avatar_inference.h264 import PictureEncoder

FRAGMENT = Fraction(1, 5)
"""Seconds of video in a fragment. Browsers drop frames from fragments of one frame each."""


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How a stream is encoded.

    Attributes:
        width, height: of the pictures, even.
        out_height: of the video, even; None for the pictures' own. The width follows.
        fps: frames per second.
        sample_rate: of the sound, 8000 to 48000.
        channels: 1 or 2.
        lead_in_samples: silent samples at the start of the sound.
        fragmented: fMP4 fragments, else single access units.
        metadata: written to the MP4, such as {"comment": "AI-generated", "render_id": …}.
    """

    width: int
    height: int
    out_height: int | None
    fps: Fraction
    sample_rate: int
    channels: int
    lead_in_samples: int
    fragmented: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the video, as VideoChunk in the contract.

    Attributes:
        start_us, duration_us: presentation time covered; of a fragment, by its pictures, so that fragments
            join without gaps and one that brings late sound alone lasts 0. A sound unit before 0 only primes
            the decoder.
    """

    kind: Literal["init", "fragment", "video", "audio"]
    start_us: int
    duration_us: int
    starts_with_keyframe: bool
    data: bytes


def output_size(width: int, height: int, out_height: int | None) -> tuple[int, int]:
    """(width, height) of the video: the pictures' shape kept, both even."""
    if out_height is None or out_height == height:
        return width, height
    return max(2, 2 * round(Fraction(width * out_height, 2 * height))), out_height


class Encoder:
    """Encodes one stream. Not safe to use from two threads at once; releases the GIL while it works."""

    def __init__(self, settings: EncoderSettings) -> None:
        self._settings = settings
        source = (settings.width, settings.height)
        size = output_size(*source, settings.out_height)
        self._pictures = PictureEncoder(source, size, settings.fps, annex_b=not settings.fragmented)
        self._sound = SoundEncoder(settings.sample_rate, settings.channels, settings.lead_in_samples)
        packager = _Fragments if settings.fragmented else _AccessUnits
        self._packager: _Packager = packager(self._pictures, self._sound, settings.metadata)
        self._frames = self._samples = 0

    def write(self, picture: Picture, sound: NDArray[np.int16]) -> list[Chunk]:
        """Takes the next frame with its sound.

        Args:
            picture: uint8 RGB [height, width, 3].
            sound: int16 [n, channels], samples_until(i) to samples_until(i + 1) for frame i. May be shorter
                where the sound is not known yet; later calls then bring more.

        Returns:
            What is ready, in order. The first call returns the init chunk and the first frame.

        Raises:
            ValueError: more sound than the frames so far last, or a picture of another size.
        """
        self._frames += 1
        self._samples += len(sound)
        if self._samples > samples_until(self._frames, self._settings.sample_rate, self._settings.fps):
            raise ValueError(f"{self._samples} samples are more than {self._frames} frames last")
        return self._packager.take(self._pictures.encode(picture), self._sound.push(sound))

    def flush(self) -> list[Chunk]:
        """Everything that can be decoded now, at once; encoding goes on afterwards."""
        return self._packager.take([], self._sound.flush()) + self._packager.cut()

    def close(self) -> list[Chunk]:
        """The rest. Missing sound becomes silence: both tracks last exactly frames/fps."""
        length = samples_until(self._frames, self._sound.rate, self._settings.fps)
        chunks = self._packager.take(self._pictures.close(), self._sound.close(length))
        return chunks + self._packager.cut()


class _Packager(Protocol):
    """Wraps coded units into chunks."""

    def __init__(
        self, pictures: PictureEncoder, sound: SoundEncoder, metadata: Mapping[str, str]
    ) -> None: ...

    def take(self, video: Sequence[Unit], sound: Sequence[Unit]) -> list[Chunk]:
        """Takes units that follow; returns the chunks that are ready."""
        ...

    def cut(self) -> list[Chunk]:
        """Returns what was held back."""
        ...


class _Fragments:
    """fMP4: the first fragment holds the first frame alone, the others about 200 ms; keyframes begin one."""

    def __init__(self, pictures: PictureEncoder, sound: SoundEncoder, metadata: Mapping[str, str]) -> None:
        self._pictures, self._sound_track, self._metadata = pictures, sound, metadata
        self._video: list[Unit] = []
        self._sound: list[Unit] = []
        self._sequence = self._until_us = 0

    def take(self, video: Sequence[Unit], sound: Sequence[Unit]) -> list[Chunk]:
        chunks: list[Chunk] = []
        if video and self._sequence == 0:
            segment = init_segment(self._pictures.track(), self._sound_track.track(), self._metadata)
            chunks.append(Chunk("init", 0, 0, False, segment))
        self._sound += sound
        for unit in video:
            if unit.keyframe and self._video:
                chunks += self.cut()
            self._video.append(unit)
            held = Fraction(len(self._video) * unit.duration, self._pictures.timescale)
            if self._sequence == 0 or held >= FRAGMENT:
                chunks += self.cut()
        return chunks

    def cut(self) -> list[Chunk]:
        if not self._video and not self._sound:
            return []
        self._sequence += 1
        data = fragment(self._sequence, self._video, self._sound)
        start, duration = self._until_us, 0
        if self._video:
            start, duration = _span(self._video, self._pictures.timescale, 0)
        self._until_us = start + duration
        keyframe = bool(self._video) and self._video[0].keyframe
        self._video, self._sound = [], []
        return [Chunk("fragment", start, duration, keyframe, data)]


class _AccessUnits:
    """Annex B pictures and raw AAC blocks as they come, after the AudioSpecificConfig."""

    def __init__(self, pictures: PictureEncoder, sound: SoundEncoder, metadata: Mapping[str, str]) -> None:
        self._pictures, self._sound = pictures, sound
        self._begun = False

    def take(self, video: Sequence[Unit], sound: Sequence[Unit]) -> list[Chunk]:
        chunks = [] if self._begun else [Chunk("init", 0, 0, False, self._sound.track().config)]
        self._begun = True
        for unit in video:
            start, duration = _span([unit], self._pictures.timescale, 0)
            chunks.append(Chunk("video", start, duration, unit.keyframe, unit.data))
        for unit in sound:
            start, duration = _span([unit], self._sound.rate, self._sound.priming)
            chunks.append(Chunk("audio", start, duration, False, unit.data))
        return chunks

    def cut(self) -> list[Chunk]:
        return []


def _span(units: Sequence[Unit], timescale: int, priming: int) -> tuple[int, int]:
    """Start and duration in microseconds; neighbours meet exactly."""
    ticks = units[0].start - priming, units[-1].start + units[-1].duration - priming
    start, end = (tick * 1_000_000 // timescale for tick in ticks)
    return start, end - start
