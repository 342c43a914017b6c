"""Decodes sound of any container while it arrives: the event loop feeds, a thread decodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from queue import SimpleQueue

from avatar_core.media.decode import read_sound
from avatar_session.speech.voice import Sound

CHUNKS_AHEAD = 16
"""How many received pieces may wait for the decoder."""


class _Arriving:
    """A byte stream whose `read` blocks a thread until the event loop has put something in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[bytes | Exception] = SimpleQueue()
        self._room = asyncio.Semaphore(CHUNKS_AHEAD)
        self._rest = b""

    async def feed(self, chunks: AsyncIterator[bytes]) -> None:
        """Puts everything in; a failure of `chunks` comes out of `read`."""
        try:
            async for chunk in chunks:
                if chunk:
                    await self._room.acquire()
                    self._queue.put(chunk)
            self.end()
        except Exception as error:
            self._queue.put(error)

    def end(self) -> None:
        """Nothing more comes; a waiting `read` returns."""
        self._queue.put(b"")

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, as soon as there are any; b"" at the end."""
        if not self._rest:
            piece = self._queue.get()
            if isinstance(piece, Exception):
                raise piece
            if not piece:
                self._queue.put(b"")  # the end stays the end
                return b""
            self._loop.call_soon_threadsafe(self._room.release)
            self._rest = piece
        size = len(self._rest) if size < 0 else size
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


async def decode_arriving(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Sound, None]:
    """Yields sound decoded from bytes that are still arriving.

    Raises:
        InvalidInputError: InvalidAudio, as `read_sound`.
        Exception: whatever `chunks` raises.
    """
    arriving = _Arriving()
    feeding = asyncio.create_task(arriving.feed(chunks))
    try:
        sound = await asyncio.to_thread(read_sound, arriving)
        while (block := await asyncio.to_thread(next, sound.blocks, None)) is not None:
            yield Sound(sound.rate, sound.channels, block.astype("<i2", copy=False).tobytes())
    finally:
        feeding.cancel()
        arriving.end()  # frees the decoder's thread, wherever it waits
        await asyncio.gather(feeding, return_exceptions=True)
