"""A decision about a session becomes requests, in the order of its attributes; a failure ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from avatar_operator.cache import Cache
from avatar_operator.decision import Decision
from avatar_operator.memory import Memory
from avatar_operator.names import FINALIZER
from avatar_operator.objects import SessionView
from avatar_operator.observed import Clean, CleanState
from avatar_operator.status import Status
from avatar_operator.status_json import to_json
from avatar_operator.writing import Target, Writer


class Cleaner(Protocol):
    """Empties folders of the store."""

    def ask(self, session: SessionView, *, alone: bool) -> None:
        """Empties the session's folder, soon; `alone`: apart from others, as it failed with them before."""
        ...


class Applier:
    """Does what was decided.

    Args:
        writer: asks for changes.
        cache, memory: of sessions.
        cleaner: for `clean`.
        on_status: told of every status that was written: before, after.
    """

    def __init__(
        self,
        writer: Writer,
        cache: Cache,
        memory: Memory,
        cleaner: Cleaner,
        on_status: Callable[[Status, Status], None] = lambda *_: None,
    ) -> None:
        self._writer, self._cache, self._memory = writer, cache, memory
        self._cleaner, self._on_status = cleaner, on_status

    async def apply(self, session: SessionView, decision: Decision) -> None:
        """Writes.

        Args:
            session: the picture that the decision rests on.
            decision: about it.

        Raises:
            KubeError: of the first request that failed; what comes after it is not done.
        """
        if decision.add_finalizer:
            session = await self._finalizers(session, (*self._others(session), FINALIZER))
        if decision.create is not None:
            await self._writer.create_job(_target(session), decision.create)
        if decision.status is not None:
            session = await self._status(session, decision.status)
        for note in decision.notes:
            await self._writer.note(_target(session), note)
        for gone in decision.deletes:
            await self._writer.delete(session.namespace, gone)
        if decision.clean:
            self._clean(session)
        if decision.drop_finalizer:
            await self._finalizers(session, self._others(session))
        if decision.read_refusals:
            await self._writer.read_refusals(_target(session), decision.read_refusals)

    def _others(self, session: SessionView) -> tuple[str, ...]:
        return self._cache.others_finalizers(session.uid)

    async def _finalizers(self, session: SessionView, finalizers: tuple[str, ...]) -> SessionView:
        await self._writer.finalizers(_target(session), finalizers)
        return self._cache.session(session.uid) or session

    async def _status(self, session: SessionView, status: Status) -> SessionView:
        await self._writer.status(_target(session), to_json(session.status), to_json(status))
        self._on_status(session.status, status)
        return self._cache.session(session.uid) or session

    def _clean(self, session: SessionView) -> None:
        known = self._memory.of(session.uid)
        before = known.clean
        known.clean = Clean(CleanState.RUNNING, session.status.attempt, before.tries, alone=before.alone)
        self._cleaner.ask(session, alone=before.alone)


def _target(session: SessionView) -> Target:
    return Target("AvatarSession", session.namespace, session.name, session.uid, session.resource_version)
