"""A TCP link to the API server that can be cut, delayed, stalled and refused.

Everything a client does through a link shares its fate, watches too: TLS hides from it what is asked. Give
two replicas a link each, and one of them can be parted from the cluster.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 64 * 1024
_LOOK_SECONDS = 0.02


class Link:
    """Forwards a loopback port of its own to a server's address and port.

    Attributes:
        port: where clients connect.
        delay: seconds that each chunk waits before it is handed on, in both directions.
    """

    def __init__(self, target: str, target_port: int) -> None:
        self.delay = 0.0
        self._target, self._target_port = target, target_port
        self._refuses = self._stalls = False
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._open) // 2

    def cut(self) -> None:
        """Resets every open connection; new ones are welcome."""
        asyncio.run_coroutine_threadsafe(self._reset_all(), self._loop).result()

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Cuts what is open and resets whoever comes, until the block ends."""
        self._refuses = True
        self.cut()
        try:
            yield
        finally:
            self._refuses = False

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Hands nothing on until the block ends: connections stay open, bytes wait."""
        self._stalls = True
        try:
            yield
        finally:
            self._stalls = False

    def close(self) -> None:
        """Ends the link and every connection. May be called again."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _reset_all(self) -> None:
        for writer in self._open:
            _reset(writer)
        self._open.clear()

    async def _end(self) -> None:
        self._server.close()
        await self._reset_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connect, "127.0.0.1", 0, limit=_CHUNK)

    async def _connect(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self._refuses:
            _reset(to_client)
            return
        try:
            from_server, to_server = await asyncio.open_connection(
                self._target, self._target_port, limit=_CHUNK
            )
        except OSError:
            _reset(to_client)
            return
        both = {to_client, to_server}
        self._open |= both
        try:
            await asyncio.gather(self._hand_on(from_client, to_server), self._hand_on(from_server, to_client))
        finally:
            self._open -= both
            for writer in both:
                writer.transport.abort()

    async def _hand_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Copies one direction to its end."""
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                while self._stalls:
                    await asyncio.sleep(_LOOK_SECONDS)
                target.write(data)
                await target.drain()
            target.write_eof()
            return
        _reset(target)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection as a broken one ends: with RST, and what was not sent is lost."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
