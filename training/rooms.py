"""The same speech as other recordings would have it: another throat, microphone, room, loudness and noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from training.labelled import Labelled

from avatar_core.limits import LIP_RATE
from avatar_inference.preview.visemes import Viseme

Sound = NDArray[np.float64]


def changed(piece: Labelled, random: np.random.Generator) -> Labelled:
    """`piece` recorded elsewhere: all that a listener must not care about, drawn at random."""
    stretch = random.uniform(0.86, 1.16)  # longer vocal tract, lower voice, slower speech
    count = int(len(piece.sound) * stretch)
    sound = np.interp(np.arange(count) / stretch, np.arange(len(piece.sound)), piece.sound)
    sound = _coloured(sound, random)
    if random.random() < 0.3:
        sound = _in_room(sound, random)
    loudness = (
        random.uniform(-45, -12) if random.random() < 0.85 else random.uniform(-8, 4)
    )  # the latter clips
    sound *= 10 ** (loudness / 20) / (sound.std() + 1e-9)
    below = random.uniform(10, 30) if random.random() < 0.4 else random.uniform(30, 70)
    sound += _noise(count, random) * 10 ** ((loudness - below) / 20)
    mouths = tuple((start * stretch, viseme) for start, viseme in piece.mouths)
    return Labelled(np.clip(sound, -1, 1).astype(np.float32), mouths)


def mere_noise(random: np.random.Generator) -> Labelled:
    """Noises and silences without speech, each beginning at once: the mouth stays closed."""
    parts = []
    for _ in range(8):
        count = int(random.uniform(0.1, 1.5) * LIP_RATE)
        gain = 0 if random.random() < 0.4 else 10 ** (random.uniform(-80, -35) / 20)
        parts.append(_noise(count, random) * gain)
    return Labelled(np.concatenate(parts).astype(np.float32), ((0.0, Viseme.SILENCE),))


def _filtered(sound: Sound, gains_db: Sound) -> Sound:
    """`sound` with gains, decibels, at equally spaced frequencies from 0 to half the rate."""
    size = 1 << (len(sound) - 1).bit_length()
    bins = np.linspace(0, len(gains_db) - 1, size // 2 + 1)
    gains = 10 ** (np.interp(bins, np.arange(len(gains_db)), gains_db) / 20)
    return np.fft.irfft(np.fft.rfft(sound, size) * gains, size)[: len(sound)]


def _coloured(sound: Sound, random: np.random.Generator) -> Sound:
    gains = random.normal(0, 3, 17) + np.linspace(0, random.uniform(-8, 8), 17)
    if random.random() < 0.5:
        gains[0] -= 20
    if random.random() < 0.15:
        gains[8:] -= 60  # a telephone
    return _filtered(sound, gains)


def _in_room(sound: Sound, random: np.random.Generator) -> Sound:
    echo = random.normal(size=int(random.uniform(0.15, 0.5) * LIP_RATE))
    echo *= np.exp(-6.9 * np.linspace(0, 1, len(echo)))
    if random.random() < 0.4:  # a single wall
        echo[: -int(random.uniform(1, 0.01 * LIP_RATE))] = 0
    echo *= 10 ** (random.uniform(-20, -6) / 20) / np.sqrt((echo**2).sum())
    size = 1 << (len(sound) + len(echo)).bit_length()
    return sound + np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(echo, size), size)[: len(sound)]


def _noise(count: int, random: np.random.Generator) -> Sound:
    """Steady noise of a random colour and a mean square of 1, sometimes with hum."""
    noise = random.normal(size=count)
    if random.random() < 0.5:
        slope = random.uniform(-12, 0) * np.log2(np.arange(33) + 1)
        noise = _filtered(noise, slope + random.normal(0, 2, 33))
    noise /= noise.std()
    if random.random() < 0.3:
        phase = 2 * np.pi * random.choice([50.0, 60.0]) / LIP_RATE * np.arange(count)
        for overtone in (1, 2, 3, 5):
            noise += random.uniform(0, 2) * np.sin(phase * overtone)
    noise /= noise.std()
    return noise
