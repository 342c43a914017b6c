"""The store as a pod reaches it: through the gateway, which alone has the store's keys."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from base64 import b64encode
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import count
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2

from avatar_core.errors import Reason, StoreError
from avatar_core.store import BLOCK_BYTES, SMALL_OBJECT_BYTES, Entry, Stored
from avatar_core.tracing import TRACEPARENT
from avatar_session.provider_errors import retry_after

TRIES = 13
"""With the pauses 18 to 36 seconds: so long a gateway may take to be replaced."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0
_TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
_REASONS = {
    401: Reason.STORE_DENIED,
    403: Reason.STORE_DENIED,
    404: Reason.STORE_DENIED,
    413: Reason.STORE_DENIED,
    422: Reason.STORE_DENIED,
    507: Reason.STORE_FULL,
}
T = TypeVar("T")
Source = bytes | Path | AsyncIterable[bytes]


class GatewayStore:
    """A `avatar_core.store.Store` of one session's folder.

    What fails for a while (no connection, 429, 5xx) is tried again, an upload only if its body can be
    iterated again.

    Args:
        url: of the gateway.
        token: asked before every request.
        tries: of each request, in all.
        traceparent: asked likewise for what makes the gateway's span a child of the caller's (W3C).
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        tries: int = TRIES,
        traceparent: Callable[[], str] = lambda: "",
    ) -> None:
        self._token, self._tries, self._traceparent = token, tries, traceparent
        parts = urlsplit(url)
        self._where = f"the gateway at {parts.hostname}:{parts.port or parts.scheme}"
        # A proxy that the environment names is for providers, and must not see tokens of this cluster.
        self._client = httpx2.AsyncClient(
            base_url=f"{url.rstrip('/')}/v1/store/", timeout=_TIMEOUT, trust_env=False
        )

    async def put(self, key: str, source: Source, content_type: str) -> Stored:
        """Stores a whole object; see `Store.put`."""

        async def send() -> Stored:
            body = _Body(source)
            headers = {"Content-Type": content_type, **body.headers}
            async with self._asked("PUT", key, headers, body.content) as answer:
                return _confirmed(key, body, json.loads(await answer.aread()))

        return await self._again(send, 1 if isinstance(source, AsyncIterator) else self._tries)

    async def get(self, key: str) -> bytes | None:
        """A small object; see `Store.get`."""

        async def load() -> bytes | None:
            async with self._asked("GET", key, missing=True) as answer:
                if answer.status_code == 404:
                    return None
                if int(answer.headers.get("Content-Length", 0)) > SMALL_OBJECT_BYTES:
                    raise StoreError(Reason.STORE_DENIED, f"{key} is too large; read it in pieces")
                return await answer.aread()

        return await self._again(load, self._tries)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """An object in pieces; see `Store.read`. Tried again until the first piece has come."""
        for tried in count(1):
            begun = False
            try:
                async with self._asked("GET", key) as answer:
                    async for piece in answer.aiter_bytes(BLOCK_BYTES):
                        begun = True
                        yield piece
                return
            except StoreError as error:
                if begun or not await _worth_waiting(error, tried, self._tries):
                    raise

    async def head(self, key: str) -> Entry | None:
        """What is known about an object; see `Store.head`."""

        async def ask() -> Entry | None:
            async with self._asked("HEAD", key, missing=True) as answer:
                return None if answer.status_code == 404 else _entry(key, answer.headers)

        return await self._again(ask, self._tries)

    async def list(self, prefix: str = "") -> AsyncIterator[Entry]:
        """Refused: a session knows the names of what it stores."""
        raise StoreError(Reason.STORE_DENIED, f"{self._where} lists nothing, nor {prefix!r}")
        yield  # an iterator like its likes

    async def delete(self, key: str) -> None:
        """Removes an object; see `Store.delete`."""

        async def remove() -> None:
            async with self._asked("DELETE", key, missing=True):
                return

        await self._again(remove, self._tries)

    async def _again(self, work: Callable[[], Awaitable[T]], tries: int) -> T:
        for tried in count(1):
            try:
                return await work()
            except StoreError as error:
                if not await _worth_waiting(error, tried, tries):
                    raise
        raise AssertionError

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        key: str,
        headers: dict[str, str] | None = None,
        content: bytes | AsyncIterable[bytes] | None = None,
        *,
        missing: bool = False,
    ) -> AsyncIterator[httpx2.Response]:
        """One request; refusals are raised, but for 404 where `missing` is no error."""
        sent = {"Authorization": f"Bearer {self._token() or 'none'}", **(headers or {})}
        if parent := self._traceparent():
            sent[TRACEPARENT] = parent
        try:
            async with self._client.stream(method, key, headers=sent, content=content) as answer:
                if answer.status_code >= 400 and not (missing and answer.status_code == 404):
                    raise await self._refusal(key, answer)
                yield answer
        except httpx2.HTTPError as error:
            detail = f"{type(error).__name__} {error}".strip()
            raise StoreError(Reason.STORE_UNAVAILABLE, f"{self._where} can't be reached: {detail}") from None

    async def _refusal(self, key: str, answer: httpx2.Response) -> StoreError:
        status = answer.status_code
        reason, message = _REASONS.get(status, Reason.STORE_UNAVAILABLE), ""
        try:
            told = json.loads(await answer.aread())
            reason, message = Reason(told["reason"]), str(told["error"])[:500]
        except (ValueError, TypeError, KeyError):
            pass  # an error page of something in between
        text = f"{self._where} answered {status} for {key}: {message}"
        return StoreError(reason, text, retry_after=retry_after(answer.headers))


class _Body:
    """What is sent, counted and hashed on its way."""

    def __init__(self, source: Source) -> None:
        self._source, self._hash, self.size = source, hashlib.sha256(), 0
        self.headers: dict[str, str] = {}
        self.content: bytes | AsyncIterable[bytes] = self._pieces()
        if isinstance(source, bytes):
            self._take(source)
            self.content = source
            self.headers = {"Content-Digest": f"sha-256=:{b64encode(self._hash.digest()).decode()}:"}
        elif isinstance(source, Path):
            self.headers = {"Content-Length": str(source.stat().st_size)}

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _take(self, piece: bytes) -> bytes:
        self._hash.update(piece)
        self.size += len(piece)
        return piece

    async def _pieces(self) -> AsyncIterator[bytes]:
        if isinstance(self._source, Path):
            with self._source.open("rb") as file:
                while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
                    yield self._take(block)
        elif not isinstance(self._source, bytes):
            async for piece in self._source:
                yield self._take(piece)


def _confirmed(key: str, body: _Body, told: dict[str, object]) -> Stored:
    """What was stored is what was sent, or it was damaged on its way."""
    stored = Stored(key, body.size, body.sha256())
    if (told.get("size"), told.get("sha256")) != (stored.size, stored.sha256):
        raise StoreError(Reason.STORE_UNAVAILABLE, f"{key} was damaged on its way to the store")
    return stored


def _entry(key: str, headers: httpx2.Headers) -> Entry:
    modified: datetime = parsedate_to_datetime(headers["Last-Modified"])
    return Entry(key, int(headers["Content-Length"]), modified)


async def _worth_waiting(error: StoreError, tried: int, tries: int) -> bool:
    """Waits before another try; False when none is of use."""
    if not error.info.retry or tried >= tries:
        return False
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tried - 1)) * random.uniform(0.5, 1)  # noqa: S311 - jitter
    await asyncio.sleep(error.retry_after or pause)
    return True
