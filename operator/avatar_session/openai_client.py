"""The one way a client of an OpenAI-compatible server is opened, for replies and for speech."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from avatar_session.provider_errors import Endpoint

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""A server that says nothing for so long is taken for dead; a CPU may read a long prompt for a while."""


async def open_client(endpoint: Endpoint, silence_seconds: float) -> AsyncOpenAI:
    """A client of `endpoint`; whoever opens it closes it.

    Args:
        endpoint: without a base URL it is api.openai.com, without a key the server wants none.
        silence_seconds: how long the server may stay silent.
    """
    await asyncio.to_thread(import_module, "openai")  # a second, in which the loop must go on
    from openai import AsyncOpenAI, Timeout

    return AsyncOpenAI(
        base_url=endpoint.base_url or "https://api.openai.com/v1",
        api_key=endpoint.key or "none",
        timeout=Timeout(silence_seconds, connect=CONNECT_SECONDS),
        max_retries=0,  # the pipeline knows its deadline and what was handed on; the client does not
    )
