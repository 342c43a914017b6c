"""Sounds for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from avatar_inference.client import Flush


def babble(seconds: float, rate: int = 22050, seed: int = 0) -> bytes:
    """Voiced, syllable-like sound as s16le mono PCM: harmonics under formants, four syllables a second."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    pitch = np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6))) / rate
    first = 500 + 250 * np.sin(2 * np.pi * 1.9 * t + rng.uniform(0, 6))
    sound = np.zeros_like(t)
    for harmonic in range(1, 30):
        gain = np.exp(-(((harmonic * 120 - first) / 300) ** 2)) + 0.02
        sound += gain * np.sin(2 * np.pi * harmonic * pitch)
    sound *= np.clip(np.sin(2 * np.pi * 4 * t), 0, 1)
    return (sound / np.abs(sound).max() * 12000).astype("<i2").tobytes()


async def pieces(pcm: bytes, size: int = 8820) -> AsyncIterator[bytes | Flush]:
    """The sound in pieces of `size` bytes."""
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]
