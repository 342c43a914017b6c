"""Lets a video be watched while it is drawn: its segments go to the store beside the render."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from avatar_core.errors import AvatarError
from avatar_core.folders import GENERATIONS_MAX, SEGMENTS_MAX, WATCH, watch_init, watch_segment
from avatar_core.store import Store
from avatar_core.watching import WatchIndex, first_number, read_index
from avatar_inference.client import Video
from avatar_session.progress import StageEvent
from avatar_session.segments import Beginning, Cutter, Media

log = logging.getLogger(__name__)
WAITING_BYTES = 32 * 1024 * 1024
"""Of segments that are drawn and not yet stored; more, and the store is too slow to watch through."""
INDEX_SECONDS = 0.25
"""Indices come at most so often; those between are never written."""


class Watching:
    """Stores what is drawn, as it is drawn. Whatever fails ends the watching, never the render.

    Args:
        store: of the session; should give up soon.
        folder: the session's keys begin with it.
        clock: Unix seconds.
    """

    def __init__(self, store: Store, folder: str, clock: Callable[[], float] = time.time) -> None:
        self._store, self._folder, self._clock = store, folder, clock
        self._cutter = Cutter()
        self._waiting: deque[Beginning | Media] = deque()
        self._index = WatchIndex()
        self._first = self._number = -1
        self._over = self._failed = False
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def see(self, video: Video) -> None:
        """Takes a piece of video; never waits."""
        if self._failed or self._over:
            return
        try:
            self._wait_for(self._cutter.take(video))
        except ValueError as error:
            self._give_up(error)

    def hear(self, event: StageEvent) -> None:
        """Takes news of the session: what is drawn to its end can be watched to its end."""
        if event.stage == "render" and event.finished and not self._failed:
            self._wait_for(self._cutter.rest())

    def end(self) -> None:
        """Nothing will be added: the last index says so."""
        self._over = True
        self._changed.set()

    async def finish(self, seconds: float) -> None:
        """Waits until all is stored, `seconds` at most."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    def _wait_for(self, segments: list[Beginning | Media]) -> None:
        self._waiting.extend(segments)
        if sum(len(segment.data) for segment in self._waiting) > WAITING_BYTES:
            self._give_up("the store is slower than the render")
        elif segments:
            self._changed.set()
            self._task = self._task or asyncio.create_task(self._run())

    def _give_up(self, why: object) -> None:
        self._failed = True
        self._waiting.clear()
        self._changed.set()
        log.warning("the video can't be watched while it is drawn: %s", why)

    async def _run(self) -> None:
        try:
            await self._begin()
            while not self._failed and not self._index.ended:
                await self._changed.wait()
                self._changed.clear()
                await self._store_waiting()
                await asyncio.sleep(0 if self._over else INDEX_SECONDS)
        except (AvatarError, ValueError) as error:
            self._give_up(error)

    async def _begin(self) -> None:
        """Chooses numbers that no other pod has."""
        self._first = first_number(await self._stored(), self._clock())
        self._number = self._first - 1

    async def _stored(self) -> WatchIndex:
        data = await self._store.get(self._key(WATCH))
        return WatchIndex() if data is None else read_index(data)

    async def _store_waiting(self) -> None:
        """All that waits, then the index of it."""
        over = self._over
        while self._waiting:
            await self._keep(self._waiting.popleft())
        if self._failed:
            return
        self._index = replace(self._index, ended=over and not self._waiting)
        if not self._index.generations:
            return
        index = self._index.after(await self._stored())
        if index is None:
            self._give_up("another pod has begun it anew")
            return
        await self._store.put(self._key(WATCH), index.to_json(), "application/json")

    async def _keep(self, segment: Beginning | Media) -> None:
        if isinstance(segment, Beginning):
            self._number += 1
            if self._number >= self._first + GENERATIONS_MAX:
                raise ValueError("it was begun too often")
            await self._store.put(self._key(watch_init(self._number)), segment.data, "video/mp4")
            self._index = self._index.begun(self._number, segment.codecs)
            return
        place = len(self._index.generations[-1].segments)
        if place >= SEGMENTS_MAX:
            raise ValueError("it is too long")
        await self._store.put(self._key(watch_segment(self._number, place)), segment.data, "video/mp4")
        self._index = self._index.grown(self._number, segment.seconds)

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}"
