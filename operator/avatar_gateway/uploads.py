"""A body on its way into the store: counted, hashed, and broken off before it becomes an object."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from avatar_core.errors import Reason, StoreError
from avatar_core.store import BLOCK_BYTES
from avatar_gateway.answers import DamagedError, TooLargeError

IDLE_SECONDS = 60.0
"""A body of which nothing comes for so long is given up."""
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):\s*(?:,|$)")


class Upload:
    """The body of a PUT.

    Args:
        request: not yet read.
        limit: bytes that are taken.

    Raises:
        TooLargeError: it announces more.
        DamagedError: its Content-Digest is none.
    """

    def __init__(self, request: web.Request, limit: int) -> None:
        self._request, self._limit = request, limit
        self._announced = request.content_length
        self._digest = _sha256(request.headers.get("Content-Digest", ""))
        self.size = 0
        if (self._announced or 0) > limit:
            raise self._too_large()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, a piece at a time; ends by itself only when it is whole.

        Raises:
            TooLargeError: it is larger than what is taken.
            DamagedError: it is not what its Content-Digest says.
            StoreError: it broke off.
        """
        digest = hashlib.sha256()
        try:
            while piece := await asyncio.wait_for(self._request.content.read(BLOCK_BYTES), IDLE_SECONDS):
                self.size += len(piece)
                if self.size > self._limit:
                    raise self._too_large()
                digest.update(piece)
                yield piece
        except TimeoutError:
            raise _broken(f"nothing came for {IDLE_SECONDS:g} s") from None
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, ConnectionError) as error:
            raise _broken(type(error).__name__) from None
        if self._announced is not None and self.size != self._announced:
            raise _broken(f"{self.size} of {self._announced} bytes came")
        if self._digest and digest.digest() != self._digest:
            raise DamagedError(Reason.INVALID_ARGUMENT, "the body is not what its Content-Digest says")

    def _too_large(self) -> TooLargeError:
        return TooLargeError(Reason.INVALID_ARGUMENT, f"objects hold at most {self._limit} bytes")


def _broken(how: str) -> StoreError:
    return StoreError(Reason.STORE_UNAVAILABLE, f"the body broke off: {how}")


def _sha256(header: str) -> bytes | None:
    """The hash in a Content-Digest (RFC 9530); None without one. Other algorithms are passed over."""
    found = _DIGEST.search(header)
    if found is None:
        return None
    try:
        digest = b64decode(found[1], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise DamagedError(Reason.INVALID_ARGUMENT, "the Content-Digest is no SHA-256")
    return digest
