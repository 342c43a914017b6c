"""The step of a session: a picture, a decision, what follows for the line and for the next look."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Collection, Iterable
from dataclasses import replace

from avatar_operator.applying import Applier
from avatar_operator.cache import Cache
from avatar_operator.decide import reconcile
from avatar_operator.decision import Decision, Seat
from avatar_operator.line import Line, Ticket
from avatar_operator.memory import Memory
from avatar_operator.objects import SessionView
from avatar_operator.observed import Observed, Place
from avatar_operator.observing import Observer
from avatar_operator.settings import Settings
from avatar_operator.working import Keys, Look

log = logging.getLogger(__name__)
REFRESH_SECONDS = 1.0
SPREAD_SECONDS = 2.0


class Sessions:
    """Looks at sessions and does what is decided.

    Args:
        cache, memory, line: what is known.
        observer, applier: the ways in and out.
        settings: of the administrator.
        keys: told of sessions whose turn has come.
    """

    kind = "session"

    def __init__(
        self,
        cache: Cache,
        memory: Memory,
        line: Line,
        observer: Observer,
        applier: Applier,
        settings: Settings,
        keys: Keys,
    ) -> None:
        self._cache, self._memory, self._line = cache, memory, line
        self._observer, self._applier, self._settings = observer, applier, settings
        self._keys = keys

    def begin(self) -> Collection[str]:
        """Every session, those first who are let in at once.

        Who holds a place and who waits for one is known before anybody is let in or told its position: it
        follows from the cache, and the writes that follow from it may take minutes.
        """
        for uid in self._cache.uids:
            try:
                self._seat(uid)
            except Exception:
                log.exception("a session has no place in line", extra={self.kind: self.named(uid)})
        self._line.open()
        admitted = self._line.admit()
        self._line.number(time.time())
        return dict.fromkeys([*admitted, *self._cache.uids])

    def named(self, uid: str) -> str | None:
        """Namespace and name; None when there is no such session."""
        session = self._cache.session(uid)
        return session.key if session else None

    def forget(self, uid: str) -> None:
        """It is gone."""
        self._line.leave(uid)
        self._memory.forget(uid)
        self._admit()

    async def step(self, uid: str) -> Look:
        """One look at a session.

        Raises:
            KubeError: a request failed; where the session stands is as unknown as before.
        """
        try:
            return await self._step(uid)
        finally:
            self._admit()

    def news(self, uids: Iterable[str]) -> None:
        """Something happened that matters to these objects, sessions or others.

        Where there are places, a new session gets its Job before those that have one are written about.
        """
        for uid in uids:
            self._keys.put([uid], first=self._line.free and self._is_new(uid))
            if not self._keys.opened and self._cache.session(uid) is None:
                self._memory.forget(uid)  # no loop will

    async def watch_line(self) -> None:
        """Shows positions anew, once a second."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            self._keys.put(self._line.refresh(time.time()))

    def _is_new(self, uid: str) -> bool:
        session = self._cache.session(uid)
        return session is not None and session.status.succeeded is None

    def _admit(self) -> None:
        """Lets in who may come, in their order, and before what others have to be told."""
        self._keys.put(self._line.admit(), first=True)

    def _seat(self, uid: str) -> None:
        """Where a session stands before it was looked at for the first time."""
        session = self._cache.session(uid)
        left = session and (self._cache.jobs(session) or self._cache.pods(session))
        if session is None or (session.status.finished and not left):
            return
        now = time.time()
        seen, _ = self._observer.picture(session, now)
        left = seen.jobs or seen.pods
        decision = self._decide(seen, now)
        # A picture that is to be taken anew says nothing yet: an attempt under way keeps its place.
        if decision.seat is Seat.HOLDING or (decision.look and (left or session.status.job_name)):
            self._line.hold(uid, session.namespace)

    async def _step(self, uid: str) -> Look:
        session = self._cache.session(uid)
        if session is None:
            return Look()
        now = time.time()
        seen, progress_at = self._observer.picture(session, now)
        decision = self._decide(seen, now)
        if decision.look:
            looked = await self._observer.look(session)
            if looked is None:
                return Look(idle=False)
            session, now, allowed = looked, time.time(), seen.progress
            seen, progress_at = self._observer.picture(session, now, live=True)
            if allowed is not None:  # the budget has let it through already
                seen, progress_at = replace(seen, progress=allowed), None
            decision = self._decide(seen, now)
        if decision.ask_store:
            now = time.time()
            decision = self._decide(await self._observer.ask_store(seen, now), now)
            if decision.ask_store and decision.wake_at is not None:
                # So few may ask at once that many must not come back together.
                decision = replace(decision, wake_at=decision.wake_at + random.uniform(0, SPREAD_SECONDS))  # noqa: S311
        await self._applier.apply(session, decision)
        return self._follow(session, decision, progress_at)

    def _decide(self, seen: Observed, now: float) -> Decision:
        """Where there is room nobody is told first that there is none."""
        session = seen.session
        decision = reconcile(seen, self._settings, now)
        if decision.seat is not Seat.WAITING:
            return decision
        ticket = Ticket(session.created, session.uid, session.namespace)
        self._line.wait(ticket, session.status.queue_position, now)
        self._keys.put((uid for uid in self._line.admit() if uid != session.uid), first=True)
        place = Place(self._line.admitted(session.uid), self._line.shown(session.uid))
        return reconcile(replace(seen, place=place), self._settings, now)

    def _follow(self, session: SessionView, decision: Decision, progress_at: float | None) -> Look:
        """Seat, what is forgotten, and when to look again."""
        uid = session.uid
        if decision.seat is Seat.HOLDING:
            self._line.hold(uid, session.namespace)
        elif decision.seat is Seat.OUT:
            self._line.leave(uid)
        known = self._memory.of(uid)
        refused_until = known.refused_until if known.refusal(time.time()) else None
        times = [at for at in (decision.wake_at, progress_at, refused_until) if at is not None]
        after = self._cache.session(uid)
        outcome = after.status.succeeded if after else None
        if outcome is not None and outcome.truth == "True":
            known.result, known.progress = None, None
        wrote = decision.add_finalizer or decision.drop_finalizer or decision.status is not None
        # The watch tells of the process's own writes what the cache knows already: no news.
        again = bool(wrote or decision.read_refusals)
        return Look(idle=decision.empty, wake_at=min(times, default=None), again=again)
