"""Lips measured in the pixels of a published MP4, against the phonemes in the sound of that same MP4.

The phonemes are espeak-ng's events: the yardstick alone, for the engine hears the sound and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.espeak_reference import Reference
from tests.support.lip_speech import loudness_mouth, speech
from tests.support.lip_video import FULL, Seen, publish, see

from avatar_core.timeline import samples_until
from avatar_inference.client import InferenceClient
from avatar_inference.preview.mouth import MouthShape
from avatar_inference.server import Running

pytestmark = pytest.mark.slow
VOICES = ("en-us", "fr", "de")
FPS = 15


def louder(reference: Reference, decibels: float) -> NDArray[np.int16]:
    """The speech with peaks at -6 dBFS, then so many decibels louder."""
    sound = reference.pcm / np.abs(reference.pcm).max() * 0.5 * 10 ** (decibels / 20)
    scaled: NDArray[np.int16] = np.rint(sound * 32767).astype(np.int16)
    return scaled


async def seen(
    client: InferenceClient, pcm: NDArray[np.int16], rate: int, folder: Path, fps: int = FPS
) -> Seen:
    video = await publish(client, pcm, rate, Fraction(fps), folder)
    return see(video, pcm, Fraction(fps))


@pytest.mark.parametrize("voice", VOICES)
async def test_lips_open_close_and_round_with_the_sound(
    client: InferenceClient, tmp_path: Path, voice: str
) -> None:
    reference = speech(voice)
    mouth = await seen(client, louder(reference, 0), reference.rate, tmp_path)
    measures = mouth.measured(FPS, reference.phonemes)
    assert mouth.offset == pytest.approx(0.12, abs=0.001)
    assert measures.contrast >= 2
    assert measures.rounding < 0.8
    assert measures.pauses < 0.05


@pytest.mark.parametrize("fps", [12, 25])
@pytest.mark.parametrize("voice", VOICES)
async def test_lips_neither_lead_nor_lag(
    client: InferenceClient, tmp_path: Path, voice: str, fps: int
) -> None:
    reference = speech(voice)
    mouth = await seen(client, louder(reference, 0), reference.rate, tmp_path, fps)
    assert abs(mouth.measured(fps, reference.phonemes).lag_ms) <= 20


@pytest.mark.parametrize("voice", VOICES)
async def test_quieter_speech_opens_the_mouth_as_wide(
    client: InferenceClient, tmp_path: Path, voice: str
) -> None:
    reference = speech(voice)
    normal = await seen(client, louder(reference, 0), reference.rate, tmp_path)
    quiet = await seen(client, louder(reference, -20), reference.rate, tmp_path)
    assert quiet.opening.mean() == pytest.approx(normal.opening.mean(), rel=0.1)


@pytest.mark.parametrize("voice", VOICES)
async def test_the_mouth_is_closed_in_pauses_even_when_they_hiss(
    client: InferenceClient, tmp_path: Path, voice: str
) -> None:
    reference = speech(voice)
    pcm = np.concatenate([np.zeros(reference.rate // 2, np.int16), louder(reference, 0)])
    hiss = np.random.default_rng(3).normal(size=len(pcm)) * 32768 * 10 ** (-50 / 20)
    mouth = await seen(client, (pcm + hiss).astype(np.int16), reference.rate, tmp_path)
    shifted = [(0.0, 0.5, ""), *((start + 0.5, end + 0.5, name) for start, end, name in reference.phonemes)]
    assert mouth.measured(FPS, shifted).pauses < 0.05
    assert mouth.opening[: int(0.5 * FPS)].max() < 0.05 * FULL


class _Loudness:
    """A mouth that follows loudness alone, as a FeatureStream; it hears all before it moves."""

    engine_seconds = 0.0

    def __init__(self, fps: Fraction, *, live: bool) -> None:
        self._fps, self._sound, self._given = fps, np.zeros(0, np.float32), 0

    def push(self, samples: NDArray[np.float32]) -> Sequence[MouthShape]:
        self._sound = np.concatenate([self._sound, samples])
        return []

    def flush(self, frames: int, *, last: bool) -> Sequence[MouthShape]:
        whole = np.zeros(samples_until(frames, 16_000, self._fps), np.float32)
        whole[: len(self._sound)] = self._sound[: len(whole)]
        shapes = loudness_mouth(whole, FPS)[self._given : frames]
        self._given = frames
        return shapes


@pytest.mark.parametrize("voice", VOICES)
async def test_a_mouth_that_follows_loudness_alone_fails(
    server: Running, client: InferenceClient, tmp_path: Path, voice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same measures, so they can fail: it neither rounds its lips nor stays open in quiet speech."""
    engine: Any = server.parts.worker.engine
    monkeypatch.setattr(engine, "features", _Loudness)
    reference = speech(voice)
    normal = await seen(client, louder(reference, 0), reference.rate, tmp_path)
    quiet = await seen(client, louder(reference, -20), reference.rate, tmp_path)
    measures = normal.measured(FPS, reference.phonemes)
    assert measures.rounding > 0.8
    assert quiet.opening.mean() < 0.9 * normal.opening.mean()
