"""What the pipeline knows of a voice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, Self


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

    def speak(self, sentence: str) -> AsyncIterator[Sound]:
        """Yields the sound of one sentence as it comes, all of it in one format.

        Raises:
            AvatarError: typed; VOICE_NOT_FOUND, TEXT_UNREADABLE or one of SPEECH_….
        """
        ...
