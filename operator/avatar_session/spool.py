"""The session's speech on disk: written once, read from the start as often as a render needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

import numpy as np

from avatar_core.errors import InvalidInputError, ProviderError, Reason
from avatar_core.limits import MAX_AUDIO_SECONDS
from avatar_core.store_errors import typed_store_error
from avatar_inference.client import FLUSH, Flush
from avatar_session.speech.voice import Sound

PAUSE_SECONDS = 0.12
"""Quiet at the end of every sentence, what the voice itself left quiet included."""
QUIET_PEAK = 104
"""-50 dBFS."""
BLOCK_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class Sentence:
    """A spoken sentence.

    Attributes:
        text: what was spoken.
        end: samples from the start of the speech to where it ends, its pause included.
    """

    text: str
    end: int


class Spool:
    """One writer, any number of readers, who follow the writer.

    The disk holds it all, since a render may have to be sent again: memory holds one block.

    Args:
        path: of the file to write; must not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rate = self.channels = 0
        self.sentences: list[Sentence] = []
        self._bytes = self._quiet = 0
        self._finished = False
        self._changed = asyncio.Event()
        self._file = path.open("xb", buffering=0)

    @property
    def samples(self) -> int:
        """Written so far, per channel."""
        return self._bytes // (2 * self.channels) if self.channels else 0

    @property
    def seconds(self) -> float:
        """Written so far."""
        return self.samples / self.rate if self.rate else 0.0

    @property
    def finished(self) -> bool:
        """Whether all is written."""
        return self._finished

    def write(self, sound: Sound) -> None:
        """Appends a piece.

        Raises:
            ProviderError: SPEECH_INVALID, when its format is not that of what came before.
            InvalidInputError: AUDIO_TOO_LONG.
            StoreError: the disk is full.
        """
        if not self.rate:
            self.rate, self.channels = sound.rate, sound.channels
        if (sound.rate, sound.channels) != (self.rate, self.channels):
            change = f"{self.rate} Hz x {self.channels} to {sound.rate} Hz x {sound.channels}"
            raise ProviderError(Reason.SPEECH_INVALID, f"the voice changed its format from {change}")
        loud = np.flatnonzero(np.abs(np.frombuffer(sound.pcm, "<i2").astype(np.int32)) > QUIET_PEAK)
        pieces = len(sound.pcm) // 2
        self._quiet = pieces - 1 - int(loud[-1]) if len(loud) else self._quiet + pieces
        self._append(sound.pcm)
        if self.seconds > MAX_AUDIO_SECONDS:
            message = f"the speech is longer than {MAX_AUDIO_SECONDS} s; shorten the text"
            raise InvalidInputError(Reason.AUDIO_TOO_LONG, message)

    def end_sentence(self, text: str) -> None:
        """A sentence is over: adds what its pause lacks and lets it be drawn."""
        missing = int(PAUSE_SECONDS * self.rate) - self._quiet // self.channels
        self._append(bytes(2 * self.channels * max(0, missing)))
        self.sentences.append(Sentence(text, self.samples))
        self._notify()

    def finish(self) -> None:
        """Everything is written."""
        self._finished = True
        self.close()
        self._notify()

    def close(self) -> None:
        """Closes the file for writing; safe to repeat."""
        self._file.close()

    def remove(self) -> None:
        """Closes and deletes the file."""
        self.close()
        self.path.unlink()

    async def until_format_known(self) -> None:
        """Returns once `rate` and `channels` are those of the speech."""
        while not self.rate:
            await self._changed.wait()

    async def read(self) -> AsyncGenerator[bytes | Flush, None]:
        """Everything from the start: PCM in blocks, and FLUSH where a sentence ends. Waits for the writer."""
        position = flushed = 0
        with self.path.open("rb") as file:
            while True:
                changed = self._changed
                at_mark = flushed < len(self.sentences)
                end = self.sentences[flushed].end * 2 * self.channels if at_mark else self._bytes
                if position < end:
                    block = file.read(min(BLOCK_BYTES, end - position))
                    position += len(block)
                    yield block
                elif at_mark:
                    flushed += 1
                    yield FLUSH
                elif self._finished:
                    return
                else:
                    await changed.wait()

    def _append(self, pcm: bytes) -> None:
        write_whole(self._file, pcm)
        self._bytes += len(pcm)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def write_whole(file: RawIOBase, data: bytes) -> None:
    """Writes all of `data` to an unbuffered file: nothing is left over that closing it could fail to write.

    Raises:
        StoreError: the disk is full or gone.
    """
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) or 0 :]
    except OSError as error:
        raise typed_store_error(error, "write", str(getattr(file, "name", "a file"))) from None
