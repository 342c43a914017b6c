"""The waiting room before the server: wakes renders in the order `Admission` decides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from fractions import Fraction

from avatar_core.errors import InferenceError, Reason
from avatar_inference.admission import Admission, Limits, Ticket
from avatar_inference.metrics import Metrics

TELL_EVERY_SECONDS = 1.0

OnQueued = Callable[[int, float | None], Awaitable[None]]
"""Told position (1 is next) and estimated seconds."""


class Door:
    """Lets renders in. While draining it lets nobody in, and sends away who waits.

    Args:
        limits: what the server carries at once.
        metrics: counts those inside and those waiting.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.draining = False
        self._admission = Admission(limits)
        self._metrics = metrics
        self._changed = asyncio.Event()
        self._entered: set[str] = set()
        self._last_left = time.monotonic()

    @property
    def active(self) -> int:
        """Renders inside."""
        return self._admission.active

    @property
    def waiting(self) -> int:
        """Renders in line."""
        return self._admission.waiting

    def check_open(self) -> None:
        """Raises InferenceError (InferenceUnavailable) while draining."""
        if self.draining:
            message = "the server is draining; ask another one"
            raise InferenceError(Reason.INFERENCE_UNAVAILABLE, message, retry_after=1.0)

    @asynccontextmanager
    async def enter(
        self, ticket: Ticket, frames_per_second: float, on_queued: OnQueued
    ) -> AsyncIterator[Fraction]:
        """Waits for a place, holds it inside the `with`, and gives the frame rate it was accepted with.

        Raises:
            InferenceError: Overloaded when the line is full, InferenceUnavailable while draining.
        """
        self.check_open()
        fps = self._admission.ask(ticket, frames_per_second)
        try:
            self._count()
            if fps is None:
                await self._wait(ticket.name, on_queued)
            yield fps or ticket.fps
        finally:
            now = time.monotonic()
            self._admission.leave(ticket.name, now - self._last_left)
            self._last_left = now
            self._entered.discard(ticket.name)
            self._entered.update(self._admission.admit())
            self._count()
            self._wake()

    async def _wait(self, name: str, on_queued: OnQueued) -> None:
        while name not in self._entered:
            self.check_open()  # another server draws it sooner than one that is about to end
            position = self._admission.position(name)
            await on_queued(position, self._admission.eta(position))
            try:
                await asyncio.wait_for(self._changed.wait(), TELL_EVERY_SECONDS)
            except TimeoutError:
                continue

    def _wake(self) -> None:
        # A fresh event each time: all who wait see this change, and none misses the next.
        self._changed.set()
        self._changed = asyncio.Event()

    def _count(self) -> None:
        self._metrics.active.set(self.active)
        self._metrics.waiting.set(self.waiting)
