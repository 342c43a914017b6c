"""Whether an MP4 is what was asked for: pictures, sound, and lips that move with it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from tests.support.ava import ava, measure

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A decoded video of Ava.

    Attributes:
        frames: pictures.
        seconds: of the sound.
        size: width and height.
        opening: of her mouth in each picture, pixels.
        loudness: RMS of the sound during each picture, full scale 1.
    """

    frames: int
    seconds: float
    size: tuple[int, int]
    opening: Values
    loudness: Values

    @property
    def speaks(self) -> NDArray[np.bool_]:
        """Pictures during which something is heard."""
        return np.asarray(self.loudness > 0.1 * self.loudness.max())

    @property
    def lag(self) -> int:
        """By how many pictures the mouth follows the sound, where they agree best."""
        opening, loudness = self.opening - self.opening.mean(), self.loudness - self.loudness.mean()
        shifts = range(-6, 7)
        fits = [float(np.sum(np.roll(loudness, shift) * opening)) for shift in shifts]
        return shifts[int(np.argmax(fits))]


def see(video: Path, fps: Fraction = Fraction(15)) -> Seen:
    """Decodes a video."""
    openings, size = [], (0, 0)
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            box = ava().boxes[ava().picture_at(number, fps)]
            assert box
            size = (frame.width, frame.height)
            picture = frame.to_ndarray(format="rgb24")
            crop = picture[box.y : box.y + box.height, box.x : box.x + box.width]
            openings.append(measure(crop).opening)
    sound, rate = _sound(video)
    per = rate / float(fps)
    edges = [round(each * per) for each in range(len(openings) + 1)]
    loudness = [_rms(sound[begin:end]) for begin, end in pairwise(edges)]
    return Seen(len(openings), len(sound) / rate, size, np.array(openings), np.array(loudness))


def _sound(video: Path) -> tuple[Values, int]:
    with av.open(str(video)) as container:
        stream = container.streams.audio[0]
        blocks = [frame.to_ndarray()[0] for frame in container.decode(stream)]
        return np.concatenate(blocks).astype(np.float64), int(stream.rate or 0)


def _rms(samples: Values) -> float:
    return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
