"""Puts the picture of one session together: from caches, or from the API server itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from dataclasses import replace

from avatar_core.errors import StoreError
from avatar_operator.cache import Cache
from avatar_operator.line import Line
from avatar_operator.looking import Looker
from avatar_operator.memory import Memory
from avatar_operator.names import SESSION_UID, job_name
from avatar_operator.objects import HistoryView, JobView, PodView, SessionView, Turn
from avatar_operator.observed import Asked, Observed, Place, Posted
from avatar_operator.resolved import HISTORY_BYTES
from avatar_operator.results import AskedLaterError, Results
from avatar_operator.status import Status
from avatar_operator.writing import Target

log = logging.getLogger(__name__)


class Observer:
    """Pictures of sessions.

    Args:
        looker: for live ones.
        cache, memory, line: what they are made of.
        results: of the store; None: it can't be asked.
    """

    def __init__(
        self, looker: Looker, cache: Cache, memory: Memory, line: Line, results: Results | None = None
    ) -> None:
        self._looker, self._cache, self._memory, self._line = looker, cache, memory, line
        self._results = results

    def picture(
        self, session: SessionView, now: float, *, live: bool = False
    ) -> tuple[Observed, float | None]:
        """The session and everything about it as far as is known here, and when to look for its progress."""
        uid, spec = session.uid, session.spec
        known = self._memory.of(uid)
        progress, later = self._memory.progress(uid, _written(session.status), now)
        jobs = self._cache.jobs(session)
        known.jobs.update(job.uid for job in jobs if job.owner_uid == uid)
        # Labels alone prove nothing. Whoever may make pods in the namespace can name our Job as a pod's owner
        # all the same, and forge a result within it: the boundary is the namespace.
        found = (result for job, result in self._cache.results(session) if job in known.jobs)
        known.result = next(found, known.result)
        seen = Observed(
            session=session,
            jobs=jobs if known.foreign is None else (*jobs, known.foreign),
            pods=tuple(self._own_pods(session, known.jobs)),
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
        target = Target(
            "AvatarSession", session.namespace, session.name, session.uid, session.resource_version
        )
        if not await self._looker.look(target, session, SESSION_UID):
            return None
        await self._looker.look_for_foreign(session, job_name(session.uid, session.status.attempt + 1))
        return self._cache.session(session.uid)

    async def ask_store(self, seen: Observed, now: float) -> Observed:
        """The picture with the result that is in the store, or with its answer that there is none."""
        assert self._results is not None
        session = seen.session
        known = self._memory.of(session.uid)
        try:
            found = await self._results.find(session.namespace, session.uid)
        except AskedLaterError:
            return replace(seen, asked=Asked(known.store_silent_since, later=True))
        except StoreError as error:
            known.store_silent_since = known.store_silent_since or now
            log.warning("the store can't be asked: %s", error, extra={"session": session.key})
            return replace(seen, asked=Asked(known.store_silent_since))
        known.store_silent_since = None
        if found is not None:
            log.info("a result that no pod told of was in the store", extra={"session": session.key})
            known.result = found
        return replace(seen, result=found, asked=Asked())

    def _own_pods(self, session: SessionView, jobs: Collection[str]) -> Iterator[PodView]:
        """Pods that may be of the session's Jobs: others would take its place, or keep it from going.

        After a restart a Job that is gone is known by nothing but its pods' owner.
        """
        for pod in self._cache.pods(session):
            job = self._cache.job(pod.job_uid)
            theirs = job is not None and isinstance(job.view, JobView) and job.view.owner_uid != session.uid
            if pod.job_uid in jobs or (pod.job_uid and not theirs):
                yield pod

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
