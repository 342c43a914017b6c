"""The gateway's doors, each a prefix of paths: who counts, refuses and waits for what is under way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from avatar_core.errors import AvatarError
from avatar_gateway.answers import refusal
from avatar_gateway.metrics import Metrics
from avatar_gateway.streaming import Stream

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """One way in.

    Attributes:
        name: for metrics and the log.
        prefix: of its paths.
        methods: that it knows.
        answer: to a request; raises AvatarError to refuse.
        about: what a request is about, for the log; never holds a secret.
    """

    name: str
    prefix: str
    methods: Sequence[str]
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    about: Callable[[web.Request], str]


class Front:
    """The HTTP application behind all doors.

    Args:
        doors: in any order.
        metrics: told of every answer.
    """

    def __init__(self, doors: Sequence[Door], metrics: Metrics) -> None:
        self._doors, self._metrics = doors, metrics
        self._under_way, self._ending = 0, False
        self._idle = asyncio.Event()
        self._idle.set()

    def application(self) -> web.Application:
        """To be served."""
        app = web.Application()
        for door in self._doors:
            for method in door.methods:
                app.router.add_route(method, door.prefix + "{rest:.*}", self._behind(door))
        return app

    async def drain(self, seconds: float) -> None:
        """Waits until no request is under way, `seconds` at most; connections end with their answers.

        aiohttp's own way to end reads no more of a body that is still coming.
        """
        self._ending = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    def _behind(self, door: Door) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def counted(request: web.Request) -> web.StreamResponse:
            self._under_way += 1
            self._idle.clear()
            try:
                return await self._answer(door, request)
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._idle.set()

        return counted

    async def _answer(self, door: Door, request: web.Request) -> web.StreamResponse:
        try:
            answer = await door.answer(request)
        except asyncio.CancelledError:
            self._metrics.answered(door.name, request.method, 0, broken=True)
            raise
        except AvatarError as error:
            answer = refusal(error)
            level = logging.WARNING if answer.status >= 500 else logging.INFO
            log.log(level, "%s %s: %d %s", request.method, door.about(request), answer.status, error)
        broken = isinstance(answer, Stream) and answer.broken
        self._metrics.answered(door.name, request.method, answer.status, broken=broken)
        if isinstance(answer, Stream):
            self._metrics.moved("out", answer.sent)
        if self._ending:
            answer.force_close()
        return answer
