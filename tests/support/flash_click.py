"""Clips whose picture flashes and whose sound clicks at known times, and what a decoder makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from avatar_core.timeline import frame_count, milliseconds_to_samples, samples_until
from avatar_inference.encoder import Chunk, Encoder, EncoderSettings

WIDTH, HEIGHT = 64, 48


@dataclass(frozen=True, slots=True)
class Clip:
    """So many seconds of sound between a lead-in and a tail, as a server would make it.

    Frames in `flashes` are white, all others black; a click is centred on the first sample of each.
    """

    seconds: float
    fps: Fraction
    rate: int
    channels: int = 1
    lead_in_ms: int = 120
    tail_ms: int = 300

    @property
    def lead_in(self) -> int:
        return milliseconds_to_samples(self.lead_in_ms, self.rate)

    @property
    def frames(self) -> int:
        samples = (
            self.lead_in + int(self.seconds * self.rate) + milliseconds_to_samples(self.tail_ms, self.rate)
        )
        return frame_count(samples, self.rate, self.fps)

    @property
    def flashes(self) -> list[int]:
        first = -(-self.lead_in_ms * self.fps.numerator // (1000 * self.fps.denominator)) + 1
        last = max(first, self.frames - 2)
        every_two_minutes = range(first, last, int(120 * self.fps))
        return sorted({*every_two_minutes, (first + last) // 2 if last - first > 4 else last, last})

    def sound(self) -> NDArray[np.int16]:
        """int16 [n, channels], exactly as long as the frames."""
        track = np.zeros(samples_until(self.frames, self.rate, self.fps))
        click = click_shape(self.rate)
        half = len(click) // 2
        for flash in self.flashes:
            centre = samples_until(flash, self.rate, self.fps)
            track[centre - half : centre + half + 1] += click
        mono = np.round(20000 * track).astype(np.int16)
        return np.repeat(mono[:, None], self.channels, axis=1)

    def settings(self, *, fragmented: bool = True) -> EncoderSettings:
        metadata = {"comment": "AI-generated", "render_id": "flash-click"}
        return EncoderSettings(
            WIDTH, HEIGHT, None, self.fps, self.rate, self.channels, self.lead_in, fragmented, metadata
        )


def click_shape(rate: int) -> NDArray[np.float64]:
    """A millisecond of 1500 Hz: sharp in time, and of frequencies that any AAC keeps."""
    reach = rate // 250
    times = np.arange(-reach, reach + 1) / rate
    return np.exp(-((times / 0.001) ** 2)) * np.cos(2 * np.pi * 1500 * times)


def encode(clip: Clip, *, flush_after: Iterable[int] = (), fragmented: bool = True) -> Iterator[Chunk]:
    """All chunks of the clip, flushed after the given frames."""
    encoder = Encoder(clip.settings(fragmented=fragmented))
    sound, flashes, flushed = clip.sound(), set(clip.flashes), set(flush_after)
    for frame in range(clip.frames):
        picture = np.full((HEIGHT, WIDTH, 3), 255 if frame in flashes else 0, np.uint8)
        start, end = (samples_until(f, clip.rate, clip.fps) for f in (frame, frame + 1))
        yield from encoder.write(picture, sound[start:end])
        if frame in flushed:
            yield from encoder.flush()
    yield from encoder.close()


def write_fragments(chunks: Iterable[Chunk], path: Path) -> Path:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk.data)
    return path


@dataclass(frozen=True, slots=True)
class Decoded:
    """What FFmpeg decodes from a file, in seconds of its presentation timeline."""

    frame_times: list[Fraction]
    bright: list[bool]
    sound_start: Fraction
    sound: NDArray[np.float32]
    rate: int

    @property
    def flashes(self) -> list[float]:
        return [float(time) for time, bright in zip(self.frame_times, self.bright, strict=True) if bright]

    def clicks(self, near: Iterable[float]) -> list[float]:
        return [float(self.sound_start) + find_click(self.sound, self.rate, time) for time in near]


def find_click(sound: NDArray[np.float32], rate: int, near: float) -> float:
    """Where the click within 50 ms of `near` is centred, in seconds, to a part of a sample."""
    shape = click_shape(rate)
    middle, reach = round(near * rate), rate // 20
    start = max(0, middle - reach)
    match = np.correlate(sound[start : middle + reach + len(shape)], shape, mode="valid")
    peak = int(np.argmax(match))
    assert match[peak] > 0.2 * np.dot(shape, shape), f"no click near {near} s"
    left, top, right = match[max(peak - 1, 0)], match[peak], match[min(peak + 1, len(match) - 1)]
    shift = 0.0 if left - 2 * top + right == 0 else 0.5 * (left - right) / (left - 2 * top + right)
    return (start + peak + shift + len(shape) // 2) / rate


def decode(path: Path) -> Decoded:
    """Decodes a whole file; checks that the sound has no gap on its own timeline."""
    with av.open(path) as container:
        times, bright = [], []
        for frame in container.decode(video=0):
            times.append(Fraction(frame.pts) * frame.time_base)
            bright.append(bool(frame.to_ndarray()[:HEIGHT].mean() > 128))
    with av.open(path) as container:
        frames = list(container.decode(audio=0))
    rate, position = frames[0].sample_rate, frames[0].pts
    for frame in frames:
        assert frame.pts * frame.time_base * rate == position, "the sound has a gap"
        position += frame.samples
    sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return Decoded(times, bright, frames[0].pts * frames[0].time_base, sound, rate)
