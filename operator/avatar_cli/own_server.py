"""The inference server a command talks to: one that is running already, or one of its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from avatar_cli.engine_flags import EngineFlags

DRAIN_SECONDS = 5.0


@asynccontextmanager
async def server_at(target: str | None, engine: EngineFlags) -> AsyncIterator[str]:
    """Yields where to connect: `target`, or a server started for this command on a free loopback port.

    Args:
        target: HOST:PORT of a server that runs already.
        engine: what a server of this command's own draws with.

    Raises:
        AvatarError: the server can't be started.
    """
    if target is not None:
        yield target
        return
    from avatar_inference.server import serve

    # What a client did wrong it is told by a typed error; only bugs of the server belong on the terminal.
    logging.getLogger("avatar_inference").setLevel(logging.ERROR)
    async with serve(engine.settings(port=0, drain_seconds=DRAIN_SECONDS)) as running:
        yield running.target
