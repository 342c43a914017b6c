"""Reads an object and what belongs to it now, where caches are not enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from avatar_core.cluster.kube import GoneError, Kube, KubeError
from avatar_operator.belongings import Owner
from avatar_operator.cache import Cache
from avatar_operator.memory import Memory
from avatar_operator.paths import PLURALS, collection, one
from avatar_operator.reading import read_job
from avatar_operator.writing import FORBIDDEN, Target

DOUBT_SECONDS = 30.0
"""Where a namespace may not be read, so long after it was said to be ending a Job is tried again."""


class Looker:
    """Live looks; what is found goes into the cache.

    Args:
        kube: whom to ask.
        cache, memory: told.
        on_change: told the uids of other objects that what is found matters to.
    """

    def __init__(
        self, kube: Kube, cache: Cache, memory: Memory, on_change: Callable[[Iterable[str]], None]
    ) -> None:
        self._kube, self._cache, self._memory, self._on_change = kube, cache, memory, on_change

    async def look(self, target: Target, owner: Owner, label: str) -> bool:
        """Reads an object, and the Jobs and pods that carry its uid in a label; False: it is gone.

        With its namespace everything goes, first of all the right to read Jobs and pods there: then they are
        not looked at.

        Raises:
            KubeError: the API server does not answer.
        """
        plural = PLURALS[target.kind]
        try:
            document = await self._kube.get(target.path)
        except GoneError:
            document = None
        if document is None or document["metadata"]["uid"] != target.uid:
            self._on_change(self._cache.drop(plural, target.uid) - {target.uid})
            return False
        self._on_change(self._cache.put(plural, document) - {target.uid})
        deleting = "deletionTimestamp" in document["metadata"]
        await self._look_at_namespace(owner.namespace, deleting=deleting)
        if deleting and owner.namespace in self._memory.terminating:
            return True
        for dependents in ("jobs", "pods"):
            await self._look_at(dependents, owner, label)
        return True

    async def look_for_foreign(self, owner: Owner, name: str) -> None:
        """What has taken the name of the next Job, if something has."""
        known = self._memory.of(owner.uid)
        if not known.name_taken:
            return
        try:
            job = read_job(await self._kube.get(one("jobs", owner.namespace, name)))
        except GoneError:
            known.foreign, known.name_taken = None, False
            return
        known.foreign = job if job.owner_uid != owner.uid else None

    async def _look_at_namespace(self, name: str, *, deleting: bool) -> None:
        """Whether it is being deleted; a role within one namespace may not read it, there the creation of a
        Job tells. One that is gone says nothing of the next one of its name."""
        terminating = self._memory.terminating
        if not deleting and name not in terminating:
            return
        try:
            namespace = await self._kube.get(f"/api/v1/namespaces/{name}")
        except GoneError:
            terminating.pop(name, None)
        except KubeError as error:
            heard = terminating.get(name, 0.0)
            if error.code == FORBIDDEN and not deleting and time.monotonic() > heard + DOUBT_SECONDS:
                terminating.pop(name, None)
        else:
            if namespace["status"].get("phase") == "Terminating":
                terminating[name] = time.monotonic()
            else:
                terminating.pop(name, None)

    async def _look_at(self, plural: str, owner: Owner, label: str) -> None:
        known = self._cache.jobs if plural == "jobs" else self._cache.pods
        before = {view.uid for view in known(owner)}
        found = set()
        path = collection(plural, owner.namespace)
        async for document in self._kube.list(path, {"labelSelector": f"{label}={owner.uid}"}):
            found.add(document["metadata"]["uid"])
            self._cache.put(plural, document)
        for uid in before - found:
            self._cache.drop(plural, uid)
