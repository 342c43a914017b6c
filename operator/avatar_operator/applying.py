"""A decision becomes requests, in the order of its attributes; the first that fails ends it."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from avatar_core.resources import API_VERSION
from avatar_operator.cache import Cache
from avatar_operator.decision import Decision, Note
from avatar_operator.kube import ConflictError, GoneError, Kube, KubeError
from avatar_operator.memory import Memory
from avatar_operator.names import FINALIZER, OPERATOR
from avatar_operator.objects import SessionView
from avatar_operator.observed import Clean, CleanState, Refusals
from avatar_operator.paths import PLURALS, collection, one
from avatar_operator.status import Status
from avatar_operator.status_json import merge_patch, to_json

log = logging.getLogger(__name__)
CONTROLLER = f"avatars.dev/{OPERATOR}"
NOTE_LENGTH = 1024
REFUSED = frozenset({400, 403, 422})
"""A quota, a policy, a webhook: somebody has to act. Everything else is tried again without a word."""


class Cleaner(Protocol):
    """Empties folders of the store."""

    def ask(self, session: SessionView, *, alone: bool) -> None:
        """Empties the session's folder, soon; `alone`: apart from others, as it failed with them before."""
        ...


class Applier:
    """Does what was decided.

    Args:
        kube: to whom.
        cache: is told of every answer at once, so the next decision sees it.
        memory: of sessions.
        cleaner: for `clean`.
        instance: of this process, for Events.
        check: raises when this process may write no more; asked before every write.
        on_status: told of every status that was written: before, after.
    """

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        memory: Memory,
        cleaner: Cleaner,
        instance: str,
        check: Callable[[], None],
        on_status: Callable[[Status, Status], None] = lambda *_: None,
    ) -> None:
        self._kube, self._cache, self._memory, self._cleaner = kube, cache, memory, cleaner
        self._instance, self._check, self._on_status = instance, check, on_status

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
            await self._create(session, decision.create)
        if decision.status is not None:
            session = await self._status(session, decision.status)
        for note in decision.notes:
            await self._note(session, note)
        for gone in decision.deletes:
            self._check()
            await self._kube.delete(
                one(PLURALS[gone.kind], session.namespace, gone.name), gone.uid, gone.grace
            )
        if decision.clean:
            self._clean(session)
        if decision.drop_finalizer:
            await self._finalizers(session, self._others(session))
        if decision.read_refusals:
            await self._read_refusals(session, decision.read_refusals)

    def _others(self, session: SessionView) -> tuple[str, ...]:
        return self._cache.others_finalizers(session.uid)

    async def _finalizers(self, session: SessionView, finalizers: tuple[str, ...]) -> SessionView:
        self._check()
        body = {"metadata": {**_guard(session), "finalizers": list(finalizers)}}
        path = one("avatarsessions", session.namespace, session.name)
        return self._took(session, await self._kube.patch(path, body))

    async def _status(self, session: SessionView, status: Status) -> SessionView:
        self._check()
        changes = merge_patch(to_json(session.status), to_json(status))
        path = f"{one('avatarsessions', session.namespace, session.name)}/status"
        body = {"metadata": _guard(session), "status": changes}
        taken = self._took(session, await self._kube.patch(path, body))
        self._on_status(session.status, status)
        return taken

    def _took(self, session: SessionView, answer: Mapping[str, Any]) -> SessionView:
        """The session as the answer shows it; the watch will tell the same later."""
        metadata = answer["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._cache.drop("avatarsessions", session.uid)
            return session
        self._cache.put("avatarsessions", answer)
        return self._cache.session(session.uid) or session

    async def _create(self, session: SessionView, manifest: Mapping[str, Any]) -> None:
        self._check()
        known = self._memory.of(session.uid)
        known.clean, known.refusals, known.progress = Clean(), None, None
        try:
            created = await self._kube.create(collection("jobs", session.namespace), manifest)
        except ConflictError:
            known.name_taken = True
            raise
        except KubeError as error:
            if "being terminated" in error.message:
                self._memory.terminating.add(session.namespace)
            elif error.code in REFUSED:
                known.refuse(error.said, time.time())
            raise
        known.refusals_in_a_row = 0
        self._cache.put("jobs", created)
        log.info("Job created", extra={"session": _key(session), "job": manifest["metadata"]["name"]})

    def _clean(self, session: SessionView) -> None:
        known = self._memory.of(session.uid)
        known.clean = Clean(CleanState.RUNNING, session.status.attempt, known.clean.tries)
        self._cleaner.ask(session, alone=known.clean.tries > 0)

    async def _note(self, session: SessionView, note: Note) -> None:
        """An Event; without it the condition still tells everything."""
        log.info(note.message, extra={"session": _key(session), "reason": note.reason})
        self._check()
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"{session.name}.{secrets.token_hex(8)}",
                "namespace": session.namespace,
            },
            "eventTime": now,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "type": note.type,
            "reason": note.reason,
            "note": note.message[:NOTE_LENGTH],
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": "AvatarSession",
                "namespace": session.namespace,
                "name": session.name,
                "uid": session.uid,
            },
        }
        try:
            await self._kube.create(collection("events", session.namespace), event)
        except KubeError as error:
            log.warning("an Event was not taken: %s", error, extra={"session": _key(session)})

    async def _read_refusals(self, session: SessionView, job: str) -> None:
        """The latest FailedCreate event of a Job that has no pod."""
        path = f"/api/v1/namespaces/{session.namespace}/events"
        selector = f"reason=FailedCreate,involvedObject.kind=Job,involvedObject.name={job}"
        latest, message = "", ""
        with suppress(GoneError):
            async for event in self._kube.list(path, {"fieldSelector": selector}):
                series = event.get("series") or {}
                at = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
                if (at or "") >= latest:
                    latest, message = at or "", event.get("message", "")
        self._memory.of(session.uid).refusals = Refusals(time.time(), message)


def _guard(session: SessionView) -> dict[str, str]:
    """A write of a picture that is out of date, or of a namesake, is refused."""
    return {"uid": session.uid, "resourceVersion": session.resource_version}


def _key(session: SessionView) -> str:
    return f"{session.namespace}/{session.name}"
