"""The loop: keys come from events, deadlines and failures; each is looked at by one worker at a time."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from avatar_operator.applying import Applier
from avatar_operator.cache import Cache
from avatar_operator.deadlines import Deadlines
from avatar_operator.decide import reconcile
from avatar_operator.decision import Decision, Seat
from avatar_operator.kube import ConflictError, GoneError, KubeError
from avatar_operator.line import Line, Ticket
from avatar_operator.memory import Memory
from avatar_operator.objects import SessionView
from avatar_operator.observed import Observed, Place
from avatar_operator.observing import Observer
from avatar_operator.settings import Settings

log = logging.getLogger(__name__)
WORKERS = 16
BACKOFF_SECONDS, BACKOFF_MAX = 0.2, 60.0
REFRESH_SECONDS = 1.0

OnReconcile = Callable[[float, str], None]
"""Told of every look at a session: seconds, and "idle", "done", "retry" or "error"."""


class Keys:
    """Uids to be looked at; each is in it once, and never at two workers at a time."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, uids: Iterable[str]) -> None:
        """To be looked at; those that a worker has right now, once it is done."""
        for uid in uids:
            if uid in self._working:
                self._again.add(uid)
            else:
                self._waiting.setdefault(uid)
        if self._waiting:
            self._some.set()

    async def take(self) -> str:
        """The one that waits longest."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        uid = next(iter(self._waiting))
        del self._waiting[uid]
        self._working.add(uid)
        return uid

    def done(self, uid: str) -> None:
        """The worker is done with it."""
        self._working.discard(uid)
        if uid in self._again:
            self._again.discard(uid)
            self.put([uid])


class Loop:
    """Looks at sessions and does what is decided.

    Args:
        cache, memory, line: what is known.
        observer, applier: the ways in and out.
        settings: of the administrator.
        on_reconcile: for metrics.
    """

    def __init__(
        self,
        cache: Cache,
        memory: Memory,
        line: Line,
        observer: Observer,
        applier: Applier,
        settings: Settings,
        on_reconcile: OnReconcile = lambda *_: None,
    ) -> None:
        self._cache, self._memory, self._line = cache, memory, line
        self._observer, self._applier, self._settings = observer, applier, settings
        self._on_reconcile = on_reconcile
        self.keys = Keys()
        self._deadlines: Deadlines[str] = Deadlines()
        self._moved = asyncio.Event()
        self._unknown: set[str] = set()

    async def run(self) -> None:
        """Works until cancelled, beginning with every session; a step under way is finished."""
        self._unknown = set(self._cache.uids)
        if not self._unknown:
            self._line.open()
        self.keys.put(self._unknown)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            tasks.create_task(self._watch_clock())
            tasks.create_task(self._watch_line())

    async def _work(self) -> None:
        while True:
            uid = await self.keys.take()
            step = asyncio.ensure_future(self._safely(uid))
            try:
                await asyncio.shield(step)
            except asyncio.CancelledError:
                await step
                raise
            finally:
                self.keys.done(uid)

    async def _safely(self, uid: str) -> None:
        """One step; whatever fails is tried again later, and never stops the loop."""
        began = time.monotonic()
        result = await self._tried(uid)
        self._on_reconcile(time.monotonic() - began, result)
        if self._cache.session(uid) is None:
            self._forget(uid)
        if result != "retry":
            self._unknown.discard(uid)
        if not self._unknown:
            self._line.open()
        self.keys.put(self._line.admit())

    async def _tried(self, uid: str) -> str:
        try:
            result = await self._step(uid)
        except (ConflictError, GoneError) as error:
            log.debug("looked at again: %s", error, extra=self._named(uid))
            self._later(uid)
            return "retry"
        except KubeError as error:
            log.warning("tried again later: %s", error, extra=self._named(uid))
            self._later(uid, error.retry_after)
            return "retry"
        except Exception:
            log.exception("a session can't be reconciled", extra=self._named(uid))
            self._later(uid)
            return "error"
        self._memory.of(uid).failures = 0
        return result

    async def _step(self, uid: str) -> str:
        session = self._cache.session(uid)
        if session is None:
            return "idle"
        now = time.time()
        seen, progress_at = self._observer.picture(session, now)
        decision = self._decide(seen, now)
        if decision.look:
            looked = await self._observer.look(session)
            if looked is None:
                return "done"
            session, now, allowed = looked, time.time(), seen.progress
            seen, progress_at = self._observer.picture(session, now, live=True)
            if allowed is not None:  # the budget has let it through already
                seen, progress_at = replace(seen, progress=allowed), None
            decision = self._decide(seen, now)
        await self._applier.apply(session, decision)
        self._follow(session, decision, progress_at)
        return "idle" if decision.empty else "done"

    def _decide(self, seen: Observed, now: float) -> Decision:
        """Where there is room nobody is told first that there is none."""
        session = seen.session
        decision = reconcile(seen, self._settings, now)
        if decision.seat is not Seat.WAITING:
            return decision
        ticket = Ticket(session.created, session.uid, session.namespace)
        self._line.wait(ticket, session.status.queue_position, now)
        self.keys.put(uid for uid in self._line.admit() if uid != session.uid)
        if not self._line.admitted(session.uid):
            return decision
        return reconcile(replace(seen, place=Place(admitted=True)), self._settings, now)

    def _follow(self, session: SessionView, decision: Decision, progress_at: float | None) -> None:
        """Seat, deadline, and what is forgotten."""
        uid = session.uid
        if decision.seat is Seat.HOLDING:
            self._line.hold(uid, session.namespace)
        elif decision.seat is Seat.OUT:
            self._line.leave(uid)
        known = self._memory.of(uid)
        refused_until = known.refused_until if known.refusal(time.time()) else None
        times = [at for at in (decision.wake_at, progress_at, refused_until) if at is not None]
        self._set_deadline(uid, min(times, default=None))
        after = self._cache.session(uid)
        outcome = after.status.succeeded if after else None
        if outcome is not None and outcome.truth == "True":
            known.result, known.progress = None, None
        wrote = decision.add_finalizer or decision.drop_finalizer or decision.status is not None
        if wrote or decision.read_refusals:
            # The watch tells of the process's own writes what the cache knows already: no news.
            self.keys.put([uid])

    def _later(self, uid: str, after: float | None = None) -> None:
        known = self._memory.of(uid)
        wait = min(BACKOFF_MAX, BACKOFF_SECONDS * 2**known.failures) * random.uniform(0.5, 1)  # noqa: S311
        known.failures = min(known.failures + 1, 20)
        self._set_deadline(uid, time.time() + max(wait, after or 0))

    def _forget(self, uid: str) -> None:
        self._line.leave(uid)
        self._memory.forget(uid)
        self._deadlines.set(uid, None)

    def _set_deadline(self, uid: str, at: float | None) -> None:
        self._deadlines.set(uid, at)
        self._moved.set()

    async def _watch_clock(self) -> None:
        """Puts keys whose time has come into the queue."""
        while True:
            self._moved.clear()
            self.keys.put(self._deadlines.due(time.time()))
            next_at = self._deadlines.next()
            # At most a minute: the wall clock may be set, and the timer does not know.
            wait = 60.0 if next_at is None else min(60.0, max(0.001, next_at - time.time()))
            try:
                async with asyncio.timeout(wait):
                    await self._moved.wait()
            except TimeoutError:
                continue

    async def _watch_line(self) -> None:
        """Shows positions anew, once a second."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            self.keys.put(self._line.refresh(time.time()))

    def _named(self, uid: str) -> dict[str, str]:
        session = self._cache.session(uid)
        return {"session": f"{session.namespace}/{session.name}" if session else uid}
