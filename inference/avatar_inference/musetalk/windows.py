"""Which sound each frame is drawn from: ten audio frames of 20 ms, chosen in whole numbers.

MuseTalk was trained at 25 frames a second on the ten audio frames -80 to +120 ms about a frame's start, which
is 100 ms to either side of the middle of the time it is shown. `aligned` keeps that at every frame rate.
`upstream` is the published arithmetic, to the bit: below 25 frames a second its windows lie too early (40 ms
at 17 to 24, 80 at 13 to 16, 120 at 12), and it takes 29.97 for 29.
"""

from __future__ import annotations

import math
from enum import StrEnum
from fractions import Fraction

from avatar_inference.musetalk.layout import SAMPLE_RATE

AUDIO_RATE = 50
"""Audio frames a second, as the encoder gives them."""
AUDIO_FRAME = SAMPLE_RATE // AUDIO_RATE
"""Samples of an audio frame."""
WINDOW = 10
"""Audio frames a video frame is drawn from."""


class Windows(StrEnum):
    """How windows are placed."""

    ALIGNED = "aligned"
    UPSTREAM = "upstream"


def aligned_start(frame: int, fps: Fraction) -> int:
    """First audio frame of a frame's window, the one before the sound's first is -1.

    The window's middle is the border of two audio frames that is nearest to the middle of the frame's time,
    (2 frame + 1) / (2 fps): at most 10 ms away, and at 25 frames a second exactly on it.
    """
    n, d = fps.numerator, fps.denominator
    return (AUDIO_RATE * d * (2 * frame + 1) + n) // (2 * n) - WINDOW // 2


def upstream_start(frame: int, fps: Fraction, length: int) -> int:
    """The same as published: floor(frame * 50 / int(fps)) in a sequence with zeros put before it.

    There are 2 ceil(50 / int(fps)) zeros, but never more than `length`, the audio frames of the whole sound
    (whisper/audio2feature of the published code; division in IEEE double).
    """
    whole = int(fps)
    return math.floor(frame * (AUDIO_RATE / whole)) - min(2 * math.ceil(AUDIO_RATE / whole), length)


def upstream_end(fps: Fraction, length: int) -> int:
    """One past the last of the zeros put after the sound, counted from the sound's first audio frame."""
    return length + min(6 * math.ceil(AUDIO_RATE / int(fps)), length)


def upstream_picture(frame: int, count: int) -> int:
    """The picture behind a frame as published: one a frame, forth and back, either end twice in a row.

    Args:
        frame: from 0.
        count: of the pictures, at least 1; their times do not matter.
    """
    step = frame % (2 * count)
    return min(step, 2 * count - 1 - step)


def upstream_length(samples: int) -> int:
    """Audio frames of so many samples, as published: floor((samples / 16000) * 50) in IEEE double."""
    return math.floor(samples / SAMPLE_RATE * AUDIO_RATE)


def upstream_frames(samples: int, fps: Fraction) -> int:
    """Video frames of so many samples as published: floor((samples / 16000) * int(fps)) in double."""
    return math.floor(samples / SAMPLE_RATE * int(fps))
