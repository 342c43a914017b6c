"""From speech to a published MP4 and back: the mouth as pixels show it, the sound as the file plays it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from tests.support.ava import ava
from tests.support.ava import measure as measure_mouth
from tests.support.lip_measures import LipMeasures, Phonemes, measure
from tests.support.renders import collect
from tests.support.sound import pieces

from avatar_core.media.mp4 import remux
from avatar_inference.client import Flush, InferenceClient, RenderConfig

FULL = 41
"""Pixels between the inner lips of a wide open mouth, after H.264."""
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A mouth in a decoded video, one value a frame, pixels; `offset`: when the speech begins, seconds."""

    opening: Values
    width: Values
    height: Values
    offset: float

    def measured(self, fps: float, phonemes: Phonemes) -> LipMeasures:
        """The measures of tests/support/lip_measures.py."""
        return measure(self.opening, self.width, self.height, fps, phonemes, full=FULL, offset_s=self.offset)


async def publish(
    client: InferenceClient, pcm: NDArray[np.int16], rate: int, fps: Fraction, folder: Path
) -> Path:
    """Renders speech (int16 [n]) and writes it as sessions do: a progressive MP4."""
    audio: AsyncIterator[bytes | Flush] = pieces(pcm.astype("<i2").tobytes())
    rendered = await collect(client, RenderConfig(sample_rate=rate, fps=fps), audio)
    fragments, video = folder / "fragments.mp4", folder / "video.mp4"
    fragments.write_bytes(rendered.data)
    remux(fragments, video, {})
    return video


def see(video: Path, pcm: NDArray[np.int16], fps: Fraction) -> Seen:
    """Decodes a video of Ava and measures her mouth in every frame; `pcm` finds its place in the sound."""
    mouths = []
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            box = ava().boxes[ava().picture_at(number, fps)]
            assert box
            picture = frame.to_ndarray(format="rgb24")
            crop = picture[box.y : box.y + box.height, box.x : box.x + box.width]
            mouths.append(measure_mouth(crop))
    opening, width, height = np.array([(m.opening, m.width, m.height) for m in mouths], np.float64).T
    return Seen(opening, width, height, sound_offset(video, pcm))


def sound_offset(video: Path, pcm: NDArray[np.int16]) -> float:
    """When the speech begins in the video's own sound, seconds, by cross-correlation."""
    blocks, rate = [], 0
    with av.open(str(video)) as container:
        stream = container.streams.audio[0]
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        for frame in container.decode(stream):
            rate = frame.sample_rate
            blocks.append(frame.to_ndarray()[0])
    heard = np.concatenate(blocks).astype(np.float64)
    size = 1 << (len(heard) + len(pcm)).bit_length()
    fit = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(pcm.astype(np.float64), size)), size)
    return start + int(np.argmax(fit[: len(heard)])) / rate
