"""Holds the progress of one run and keeps its display moving, also while nothing is heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from avatar_cli.display import Display
from avatar_cli.progress import Progress

TICK = 0.5
"""Seconds between looks at the clock."""


class Board:
    """One run's progress on one display.

    Args:
        display: where it is shown.
        title: a headline.
        clock: seconds of a monotonic clock.
    """

    def __init__(self, display: Display, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._display, self._title, self._clock = display, title, clock
        self.progress = Progress()

    async def __aenter__(self) -> Self:
        self._display.begin(self._title)
        self._ticking = asyncio.create_task(self._tick(), name="display")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._ticking.cancel()
        with suppress(asyncio.CancelledError):
            await self._ticking
        self._display.show(self.progress, self._clock())
        self._display.end()

    def update(
        self,
        stage: str,
        unit: str,
        done: float,
        total: float | None = None,
        *,
        guess: int = 0,
        finished: bool = False,
        note: str = "",
    ) -> None:
        """News of one stage, see `Progress.update`; `note` says what it waits for, if anything."""
        now = self._clock()
        news = self.progress.update(stage, unit, now, done=done, total=total, guess=guess, finished=finished)
        self.progress = news.waiting(note) if note else news
        self._display.show(self.progress, now)

    def waiting(self, note: str) -> None:
        """Nothing moves; `note` says what is waited for."""
        self.progress = self.progress.waiting(note)
        self._display.show(self.progress, self._clock())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._display.show(self.progress, self._clock())
