"""The door for people with a token of the cluster, `/v1/sessions/<namespace>/<name>/<file>`."""

from __future__ import annotations

import re

from aiohttp import web

from avatar_core.folders import NAMESPACE
from avatar_gateway.answers import RefusedError
from avatar_gateway.front import Door
from avatar_gateway.people import People
from avatar_gateway.videos import Videos

PREFIX = "/v1/sessions/"
# A session's name is shorter than 53 characters and may hold dots, but no two beside each other.
_NAME = r"(?=[a-z0-9.-]{1,52}/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_PATH = re.compile(f"{PREFIX}(?P<namespace>{NAMESPACE})/(?P<name>{_NAME})/(?P<file>[^/?#%]*)")


class Sessions:
    """Answers by the caller's own rights.

    Args:
        people: judges callers.
        videos: what they get.
    """

    def __init__(self, people: People, videos: Videos) -> None:
        self._people, self._videos = people, videos

    def door(self) -> Door:
        """For people and their programs."""
        return Door("session", PREFIX, ("GET", "HEAD"), self._answer, lambda asked: asked.rel_url.raw_path)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        found = _PATH.fullmatch(request.raw_path)
        if found is None:
            raise RefusedError(404, "there is nothing of that name")
        namespace, name = found["namespace"], found["name"]
        uid = await self._people.uid_of(request.headers.get("Authorization", ""), namespace, name)
        if uid is None:
            raise RefusedError(404, f"there is no session {namespace}/{name}")
        return await self._videos.answer(request, f"{namespace}/{uid}", found["file"], name)
