"""Sends bodies of any size through little memory, and knows whether they arrived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import web

from avatar_core.errors import AvatarError, Reason, StoreError

log = logging.getLogger(__name__)
IDLE_SECONDS = 60.0
"""Who takes nothing for so long is given up."""


class Stream(web.StreamResponse):
    """An answer in pieces.

    Args:
        status, headers: with Content-Length.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self.sent = 0
        self.broken = False

    async def send(self, request: web.Request, pieces: AsyncIterator[bytes], about: object) -> None:
        """Sends all pieces; what can't be whole breaks the connection, so that it isn't taken for whole.

        Args:
            request: to answer.
            pieces: as many bytes as Content-Length says.
            about: what it is, for the log.

        Raises:
            AvatarError: nothing was sent yet, not even a status.
        """
        size = int(self.headers["Content-Length"])
        first = await anext(pieces, b"") if size else b""  # while a failure still has a status
        try:
            await self.prepare(request)
            await self._send(first, pieces)
            if self.sent != size:
                raise StoreError(Reason.STORE_UNAVAILABLE, "it changed while it was read")
        except (AvatarError, aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            self.broken = True
            level = logging.WARNING if isinstance(error, AvatarError) else logging.INFO  # viewers may leave
            why, so_far = str(error) or type(error).__name__, f"{self.sent} of {size} bytes"
            log.log(level, "%s %s broke off after %s: %s", request.method, about, so_far, why)
            if request.transport is not None:
                request.transport.abort()

    async def _send(self, first: bytes, pieces: AsyncIterator[bytes]) -> None:
        piece = first
        while piece:
            await asyncio.wait_for(self.write(piece), IDLE_SECONDS)
            self.sent += len(piece)
            piece = await anext(pieces, b"")
