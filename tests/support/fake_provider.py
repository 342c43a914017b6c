"""A scripted HTTP server, for what real providers can't be made to do: refuse, break off, answer HTML."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """What a client sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Answer:
    """How the fake answers one request, step by step."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def start(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        """Sends the head."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = {"Content-Type": kind, "Transfer-Encoding": "chunked", "Connection": "close"} | named
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        self._writer.write(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode())
        await self._writer.drain()

    async def send(self, data: bytes) -> None:
        """Sends a piece of the body at once."""
        if data:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await self._writer.drain()

    async def end(self) -> None:
        """Ends the body properly."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def cut(self) -> None:
        """Breaks the connection."""
        self._writer.transport.abort()

    async def whole(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """A complete answer."""
        await self.start(status, kind, **headers)
        await self.send(body)
        await self.end()

    async def error(self, status: int, message: str = "no", **headers: str) -> None:
        """An error as OpenAI writes it."""
        await self.whole(status, json.dumps({"error": {"message": message}}).encode(), **headers)

    async def delta(self, text: str | None = None, finish: str | None = None, **delta: Any) -> None:
        """One chunk of a chat stream."""
        content = ({"content": text} if text is not None else {}) | delta
        await self.event({"choices": [{"index": 0, "delta": content, "finish_reason": finish}]})

    async def event(self, data: dict[str, Any]) -> None:
        """One event of a stream."""
        frame = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "fake"} | data
        await self.send(f"data: {json.dumps(frame)}\n\n".encode())

    async def reply(self, text: str, finish: str = "stop", step: int = 7) -> None:
        """A complete chat stream in pieces of `step` characters, without [DONE]."""
        await self.start()
        for at in range(0, len(text), step):
            await self.delta(text[at : at + step])
        await self.delta(finish=finish)
        await self.end()


Handler = Callable[[Request, Answer], Awaitable[None]]


@dataclass
class FakeProvider:
    """A running fake: its base URL and what it was asked."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def fake_provider(handler: Handler) -> AsyncIterator[FakeProvider]:
    """Serves `handler` on a loopback port. A handler that returns early breaks the connection."""
    provider = FakeProvider()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        serving.add(task)
        try:
            request = await _read(reader)
            provider.requests.append(request)
            await handler(request, Answer(writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            serving.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def in_turn(*handlers: Handler) -> Handler:
    """One handler a request; the last one goes on for ever."""
    left = list(handlers)

    async def handle(request: Request, answer: Answer) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, answer)

    return handle


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(first.split(" ")[1], headers, json.loads(body or b"{}"))
