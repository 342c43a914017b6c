"""The door for whoever has a link, `/v/<kid>.<expiry>.<signature>/<namespace>/<uid>/<name>`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from aiohttp import web

from avatar_core.links import Verdict, judge, read_link
from avatar_gateway.answers import RefusedError
from avatar_gateway.front import Door
from avatar_gateway.videos import Videos

_REFUSED = {
    Verdict.WRONG: (403, "this link is not one of ours; it may be cut short or changed"),
    Verdict.EXPIRED: (410, "this link has expired; ask for a new one"),
}


class Viewers:
    """Judges links. They are secrets: neither they nor their paths are logged.

    Args:
        videos: what links open.
        keys: accepted ones; asked for each time, since they may change.
        clock: Unix seconds.
    """

    def __init__(
        self, videos: Videos, keys: Callable[[], Collection[bytes]], clock: Callable[[], float] = time.time
    ) -> None:
        self._videos, self._keys, self._clock = videos, keys, clock

    def door(self) -> Door:
        """For browsers and players."""
        return Door("link", "/v/", ("GET", "HEAD"), self._answer, _about)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        link = read_link(request.raw_path)
        if link is None:
            raise RefusedError(404, "there is nothing of that name")
        verdict = judge(link, self._keys(), self._clock())
        if verdict is not Verdict.GOOD:
            raise RefusedError(*_REFUSED[verdict])
        title = f"video-{link.uid[:8]}"
        return await self._videos.answer(request, f"{link.namespace}/{link.uid}", link.name, title)


def _about(request: web.Request) -> str:
    link = read_link(request.raw_path)
    return f"{link.namespace}/{link.uid}" if link else "no link"
