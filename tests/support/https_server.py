"""HTTPS servers of this machine whose answers a test writes itself."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Handler = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


class HttpsServer:
    """Speaks HTTP over TLS: each path has a handler that writes the whole answer."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.tls, self.port = tls, 0
        self.handlers: dict[str, Handler] = {}
        self.requests: list[str] = []

    def url(self, path: str, host: str) -> str:
        return f"https://{host}:{self.port}{path}"

    def answers(self, path: str, status: int = 200, body: bytes = b"", **headers: str) -> None:
        async def answer(_: str, out: asyncio.StreamWriter) -> None:
            lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            out.write("\r\n".join([*lines, "", ""]).encode() + body)

        self.handlers[path] = answer

    async def _serve(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            await self.handlers[request.split()[1]](request, out)
            await out.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            return
        finally:
            out.close()


@asynccontextmanager
async def https_server(tls: ssl.SSLContext) -> AsyncIterator[HttpsServer]:
    server = HttpsServer(tls)
    listening = await asyncio.start_server(server._serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server
