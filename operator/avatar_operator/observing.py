"""Puts the picture of one session together: from caches, or from the API server itself."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

from avatar_operator.cache import Cache
from avatar_operator.kube import GoneError, Kube, KubeError
from avatar_operator.line import Line
from avatar_operator.memory import Memory
from avatar_operator.names import SESSION_UID, job_name
from avatar_operator.objects import HistoryView, SessionView, Turn
from avatar_operator.observed import Observed, Place, Posted
from avatar_operator.paths import collection, one
from avatar_operator.reading import read_job
from avatar_operator.resolved import HISTORY_BYTES
from avatar_operator.status import Status


class Observer:
    """Pictures of sessions.

    Args:
        kube: for live ones.
        cache, memory, line: what they are made of.
    """

    def __init__(self, kube: Kube, cache: Cache, memory: Memory, line: Line) -> None:
        self._kube, self._cache, self._memory, self._line = kube, cache, memory, line

    def picture(
        self, session: SessionView, now: float, *, live: bool = False
    ) -> tuple[Observed, float | None]:
        """The session and everything about it as far as is known here, and when to look for its progress."""
        uid, spec = session.uid, session.spec
        known = self._memory.of(uid)
        progress, later = self._memory.progress(uid, _written(session.status), now)
        jobs = self._cache.jobs(session)
        known.jobs.update(job.uid for job in jobs if job.owner_uid == uid)
        # Whoever may make pods in the namespace can give one our labels, but not our Job.
        found = (result for job, result in self._cache.results(session) if job in known.jobs)
        known.result = next(found, known.result)
        seen = Observed(
            session=session,
            jobs=jobs if known.foreign is None else (*jobs, known.foreign),
            pods=self._cache.pods(session),
            avatar=self._cache.avatar(session.namespace, spec.avatar_ref),
            provider=self._cache.provider(session.namespace, spec.provider_ref),
            history=self._history(session) if spec.continue_from else HistoryView(),
            namespace_terminating=session.namespace in self._memory.terminating,
            place=Place(self._line.admitted(uid), self._line.shown(uid)),
            result=known.result,
            progress=progress,
            refusals=known.refusals,
            clean=known.clean,
            job_refused=known.refusal(now),
            live=live,
        )
        return seen, later

    async def look(self, session: SessionView) -> SessionView | None:
        """Reads the session, its Jobs and pods now; None: it is gone.

        Raises:
            KubeError: the API server does not answer.
        """
        uid, namespace = session.uid, session.namespace
        try:
            document = await self._kube.get(one("avatarsessions", namespace, session.name))
        except GoneError:
            document = None
        if document is None or document["metadata"]["uid"] != uid:
            self._cache.drop("avatarsessions", uid)
            return None
        self._cache.put("avatarsessions", document)
        for plural in ("jobs", "pods"):
            await self._look_at(plural, session)
        await self._look_for_foreign(session)
        await self._look_at_namespace(session)
        return self._cache.session(uid)

    async def _look_at(self, plural: str, session: SessionView) -> None:
        known = self._cache.jobs if plural == "jobs" else self._cache.pods
        before = {view.uid for view in known(session)}
        found = set()
        path = collection(plural, session.namespace)
        selector = {"labelSelector": f"{SESSION_UID}={session.uid}"}
        async for document in self._kube.list(path, selector):
            found.add(document["metadata"]["uid"])
            self._cache.put(plural, document)
        for uid in before - found:
            self._cache.drop(plural, uid)

    async def _look_for_foreign(self, session: SessionView) -> None:
        """What has taken the name of the next Job, if something has."""
        known = self._memory.of(session.uid)
        if not known.name_taken:
            return
        name = job_name(session.uid, session.status.attempt + 1)
        try:
            job = read_job(await self._kube.get(one("jobs", session.namespace, name)))
        except GoneError:
            known.foreign, known.name_taken = None, False
            return
        known.foreign = job if job.owner_uid != session.uid else None

    async def _look_at_namespace(self, session: SessionView) -> None:
        """A role within one namespace may not read it; there the creation of a Job tells."""
        if not session.deleting and session.namespace not in self._memory.terminating:
            return
        with suppress(KubeError):
            namespace = await self._kube.get(f"/api/v1/namespaces/{session.namespace}")
            if namespace["status"].get("phase") == "Terminating":
                self._memory.terminating.add(session.namespace)
            else:
                self._memory.terminating.discard(session.namespace)

    def _history(self, session: SessionView) -> HistoryView:
        """The turns of the session it goes on from, and of those before that one."""
        earlier = self._cache.session_named(session.namespace, session.spec.continue_from)
        if earlier is None:
            return HistoryView(found=False)
        outcome = earlier.status.succeeded
        history = HistoryView(
            succeeded=outcome is not None and outcome.truth == "True", finished=earlier.status.finished
        )
        turns: list[Turn] = []
        room, visited = HISTORY_BYTES, {session.uid}
        step: SessionView | None = earlier
        while step is not None and step.uid not in visited and room > 0:
            visited.add(step.uid)
            spoken = _turns(step)
            room -= sum(len(turn.text) for turn in spoken)
            turns[:0] = spoken
            step = self._cache.session_named(step.namespace, step.spec.continue_from)
        return replace(history, turns=tuple(turns))


def _turns(session: SessionView) -> list[Turn]:
    prompt = json.loads(session.spec.document).get("prompt")
    asked = [Turn("user", prompt)] if prompt else []
    reply = session.status.made.reply if session.status.made else ""
    return [*asked, *([Turn("assistant", reply)] if reply else [])]


def _written(status: Status) -> Posted | None:
    return Posted(status.attempt, status.stage, status.progress) if status.progress else None
