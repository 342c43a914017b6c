"""What viewers may have of a session's folder, whichever way they were let in."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from hashlib import sha256

from aiohttp import web

from avatar_core.folders import PIECE, VIDEO, WATCH
from avatar_core.store import Entry, ObjectStore
from avatar_core.watching import playlist, read_index
from avatar_gateway.answers import RefusedError
from avatar_gateway.keys import content_type
from avatar_gateway.metrics import Metrics
from avatar_gateway.page import COMMON, page
from avatar_gateway.ranges import Version, part_of
from avatar_gateway.slots import Slots
from avatar_gateway.streaming import Stream

PLAYLIST = "index.m3u8"
log = logging.getLogger(__name__)
_FILE = re.compile("|".join([re.escape(VIDEO), re.escape(WATCH), PIECE]))


class Videos:
    """Answers viewers.

    Args:
        store: where objects are.
        streams: places for answers under way, about 2 MiB of memory each.
        metrics: told how many there are.
    """

    def __init__(self, store: ObjectStore, streams: Slots, metrics: Metrics) -> None:
        self._store, self._streams, self._metrics = store, streams, metrics

    async def answer(self, request: web.Request, folder: str, name: str, title: str) -> web.StreamResponse:
        """What a viewer gets who may see a folder.

        Args:
            request: GET or HEAD.
            folder: `<namespace>/<uid>`.
            name: as it came; anything.
            title: how a saved video is called, without its ending.

        Raises:
            RefusedError: 404, there is no such thing, or not yet.
            StoreError: the store does not answer, or too many viewers are there.
        """
        if not name:
            return page()
        if name != PLAYLIST and not _FILE.fullmatch(name):
            raise RefusedError(404, "there is nothing of that name")
        with self._streams.taken(), self._metrics.viewer():
            if name == PLAYLIST:
                return await self._playlist(request, folder)
            return await self._file(request, f"{folder}/{name}", title)

    async def _playlist(self, request: web.Request, folder: str) -> web.Response:
        data = await self._store.get(f"{folder}/{WATCH}")
        if data is None:
            raise RefusedError(404, "it is not there (yet)")
        try:
            index = read_index(data)
        except ValueError as error:
            log.warning("%s/%s: %s", folder, WATCH, error)
            raise RefusedError(404, "it can't be watched") from None
        # Whoever drew it may have been gone before he could say that it has ended.
        ended = index.ended or await self._store.head(f"{folder}/{VIDEO}") is not None
        text = playlist(replace(index, ended=ended))
        headers = {**COMMON, "Content-Type": "application/vnd.apple.mpegurl"}
        if request.method == "HEAD":
            headers["Content-Length"] = str(len(text))
        return web.Response(body=b"" if request.method == "HEAD" else text.encode(), headers=headers)

    async def _file(self, request: web.Request, key: str, title: str) -> web.StreamResponse:
        entry = await self._store.head(key)
        if entry is None:
            raise RefusedError(404, "it is not there (yet)")
        version = version_of(entry)
        part = part_of(request.method, request.headers, version)
        headers = {**COMMON, **version.headers, **part.headers}
        if part.status not in {200, 206}:
            return web.Response(status=part.status, headers=headers)
        ending = key.rpartition(".")[2]
        headers["Content-Type"] = content_type(key)
        headers["Content-Disposition"] = f'inline; filename="{title}.{ending}"'
        if request.method == "HEAD":
            return web.Response(status=part.status, headers=headers)
        answer = Stream(part.status, headers)
        await answer.send(request, self._store.read_part(entry, part.start, part.end), key)
        return answer


def version_of(entry: Entry) -> Version:
    """Its ETag is made of the store's own, which may tell more than viewers need to know."""
    facts = entry.etag or f"{entry.modified.timestamp()} {entry.size}"
    return Version(entry.size, f'"{sha256(facts.encode()).hexdigest()[:32]}"', entry.modified)
