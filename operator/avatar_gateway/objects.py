"""The store's endpoint: PUT, GET, HEAD and DELETE of `/v1/store/<namespace>/<uid>/<name>`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC
from email.utils import format_datetime

from aiohttp import web

from avatar_core.errors import AvatarError, Reason
from avatar_core.store import Entry, Store
from avatar_core.tracing import TRACEPARENT, Spans
from avatar_gateway.answers import missing
from avatar_gateway.front import Door
from avatar_gateway.keys import PREFIX, Key, read_key
from avatar_gateway.metrics import Metrics
from avatar_gateway.permissions import Permissions
from avatar_gateway.slots import Slots
from avatar_gateway.streaming import Stream
from avatar_gateway.uploads import Upload

Answer = Callable[[web.Request, Key], Awaitable[web.StreamResponse]]


class Objects:
    """The door for pods.

    Args:
        store: where objects are.
        permissions: who may.
        object_bytes: of the largest object that is taken.
        uploads: places for them.
        metrics: told of what came in.
        spans: of uploads whose pod asks for them.
    """

    def __init__(
        self,
        store: Store,
        permissions: Permissions,
        object_bytes: int,
        uploads: Slots,
        metrics: Metrics,
        spans: Spans,
    ) -> None:
        self._store, self._permissions, self._spans = store, permissions, spans
        self._object_bytes, self._metrics = object_bytes, metrics
        self._uploads = uploads
        self._answers: dict[str, Answer] = {
            "PUT": self._put,
            "GET": self._get,
            "HEAD": self._head,
            "DELETE": self._delete,
        }

    def door(self) -> Door:
        """For pods."""
        return Door(
            "store", PREFIX, tuple(self._answers), self._answer, lambda request: request.rel_url.raw_path
        )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        reads = request.method in {"GET", "HEAD"}
        named = read_key(request.raw_path)
        authorization = request.headers.get("Authorization", "")
        key = await self._permissions.check(authorization, request.remote or "", named, reads=reads)
        return await self._answers[request.method](request, key)

    async def _put(self, request: web.Request, key: Key) -> web.Response:
        parent = request.headers.get(TRACEPARENT, "")
        if not parent:
            return await self._store_body(request, key)
        span = self._spans.begin("store", {"avatar.object": key.name}, parent, remote=True)
        reason = str(Reason.CANCELLED)
        try:
            answer = await self._store_body(request, key)
            reason = ""
            return answer
        except AvatarError as error:
            reason = str(error.reason)
            raise
        finally:
            span.end(reason)

    async def _store_body(self, request: web.Request, key: Key) -> web.Response:
        upload = Upload(request, self._object_bytes)
        with self._uploads.taken():
            stored = await self._store.put(str(key), upload.pieces(), key.content_type)
        self._metrics.moved("in", stored.size)
        return web.json_response({"size": stored.size, "sha256": stored.sha256}, status=201)

    async def _get(self, request: web.Request, key: Key) -> web.StreamResponse:
        entry = await self._store.head(str(key))
        if entry is None:
            return missing(key)
        answer = Stream(200, _headers(key, entry))
        await answer.send(request, aiter(self._store.read(str(key))), key)
        return answer

    async def _head(self, _: web.Request, key: Key) -> web.Response:
        entry = await self._store.head(str(key))
        return missing(key) if entry is None else web.Response(headers=_headers(key, entry))

    async def _delete(self, _: web.Request, key: Key) -> web.Response:
        await self._store.delete(str(key))
        return web.Response(status=204)


def _headers(key: Key, entry: Entry) -> dict[str, str]:
    return {
        "Content-Length": str(entry.size),
        "Content-Type": key.content_type,
        "Last-Modified": format_datetime(entry.modified.astimezone(UTC), usegmt=True),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
