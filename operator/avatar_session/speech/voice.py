"""What the pipeline knows of a voice, and what it asks of every sound."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from avatar_core.errors import ProviderError, Reason

SILENCE_PEAK = 33
"""-60 dBFS: a sentence that never gets louder was not spoken."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of sound.

    Attributes:
        rate: samples per second and channel, 8000 to 48000.
        channels: 1 or 2.
        pcm: interleaved s16le, whole samples of every channel.
    """

    rate: int
    channels: int
    pcm: bytes


class Voice(Protocol):
    """A voice, open between `__aenter__` and `__aexit__`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    def speak(self, sentence: str) -> AsyncGenerator[Sound, None]:
        """Yields the sound of one sentence as it comes, all of it in one format.

        Raises:
            AvatarError: typed; VOICE_NOT_FOUND, TEXT_UNREADABLE or one of SPEECH_….
        """
        ...


async def audible(voice: Voice, sentence: str) -> AsyncGenerator[Sound, None]:
    """The sound of a sentence, checked to be one.

    Raises:
        AvatarError: as `Voice.speak`; SPEECH_INVALID for no sound, SPEECH_SILENT for nothing but silence.
    """
    samples = peak = 0
    async with aclosing(voice.speak(sentence)) as sounds:
        async for sound in sounds:
            if sound.pcm:
                values = np.frombuffer(sound.pcm, "<i2")
                samples += len(values)
                peak = max(peak, int(values.max()), -int(values.min()))
                yield sound
    if not samples:
        raise ProviderError(Reason.SPEECH_INVALID, f"the voice gave no sound for {sentence[:40]!r}")
    if peak < SILENCE_PEAK:
        raise ProviderError(Reason.SPEECH_SILENT, f"the voice gave nothing but silence for {sentence[:40]!r}")
