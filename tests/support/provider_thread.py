"""A scripted provider for tests that wait in plain functions: it serves in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.fake_provider import Answer, FakeProvider, Handler, Request, fake_provider


@dataclass
class ThreadedProvider:
    """A running fake whose handler a test may change at any time."""

    handler: Handler
    fake: FakeProvider = field(default_factory=FakeProvider)

    @property
    def url(self) -> str:
        """Its base URL."""
        return self.fake.url

    @property
    def requests(self) -> list[Request]:
        """What it was asked."""
        return self.fake.requests


@contextmanager
def threaded_provider(handler: Handler) -> Iterator[ThreadedProvider]:
    """Serves on a loopback port until the block ends."""
    provider, ready = ThreadedProvider(handler), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def handle(request: Request, answer: Answer) -> None:
        await provider.handler(request, answer)

    async def serve() -> None:
        async with fake_provider(handle) as provider.fake:
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield provider
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
