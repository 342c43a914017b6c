"""Writes of every controller: each guarded, each answer in the cache at once."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from avatar_core.cluster.kube import ConflictError, GoneError, Kube, KubeError
from avatar_core.resources import API_VERSION
from avatar_operator.cache import Cache
from avatar_operator.decision import Deletion, Note
from avatar_operator.memory import Memory
from avatar_operator.names import OPERATOR
from avatar_operator.observed import Clean, Refusals
from avatar_operator.paths import PLURALS, collection, one
from avatar_operator.status_json import merge_patch

log = logging.getLogger(__name__)
Json = Mapping[str, Any]
CONTROLLER = f"avatars.dev/{OPERATOR}"
NOTE_BYTES = 1024
FORBIDDEN = 403
NAMESPACE_TERMINATING = "NamespaceTerminating"
"""The cause that the API server itself gives where a namespace takes nothing new any more."""
REFUSED = frozenset({400, FORBIDDEN, 422})
"""A quota, a policy, a webhook: somebody has to act. Everything else is tried again without a word."""
_LOGGED_AS = {"AvatarSession": "session", "Avatar": "avatar", "AvatarProvider": "provider"}


@dataclass(frozen=True, slots=True)
class Target:
    """A custom resource that is written to, and the picture of it that the write rests on."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str

    @property
    def path(self) -> str:
        """Where it is."""
        return one(PLURALS[self.kind], self.namespace, self.name)

    @property
    def guard(self) -> dict[str, str]:
        """A write of a picture that is out of date, or of a namesake, is refused."""
        return {"uid": self.uid, "resourceVersion": self.resource_version}

    @property
    def logged(self) -> dict[str, str]:
        """For the log."""
        return {_LOGGED_AS[self.kind]: f"{self.namespace}/{self.name}"}


class Writer:
    """Asks for changes.

    Args:
        kube: whom.
        cache: is told of every answer at once, so the next decision sees it.
        memory: of what was refused.
        on_change: told the uids of other objects that a write matters to; no watch will tell of it again.
        instance: of this process, for Events.
        check: raises when this process may write no more; asked before every write.
    """

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        memory: Memory,
        on_change: Callable[[Iterable[str]], None],
        instance: str,
        check: Callable[[], None],
    ) -> None:
        self._kube, self._cache, self._memory, self._on_change = kube, cache, memory, on_change
        self._instance, self._check = instance, check

    async def finalizers(self, target: Target, finalizers: Iterable[str]) -> None:
        """Writes all finalizers of an object.

        Raises:
            KubeError: as every method here.
        """
        self._check()
        body = {"metadata": {**target.guard, "finalizers": list(finalizers)}}
        self._took(target, await self._kube.patch(target.path, body))

    async def status(self, target: Target, before: Json, after: Json) -> None:
        """Writes what is different in a status."""
        self._check()
        body = {"metadata": target.guard, "status": merge_patch(before, after)}
        self._took(target, await self._kube.patch(f"{target.path}/status", body))

    async def create_job(self, target: Target, manifest: Json) -> None:
        """Makes a Job; what is said when it is not taken, or its name is taken, is remembered."""
        self._check()
        known = self._memory.of(target.uid)
        known.clean, known.refusals, known.progress = Clean(), None, None
        try:
            created = await self._kube.create(collection("jobs", target.namespace), manifest)
        except ConflictError:
            known.name_taken = True
            raise
        except KubeError as error:
            # Its message alone could be that of somebody's webhook.
            if error.code == FORBIDDEN and NAMESPACE_TERMINATING in error.details:
                self._memory.terminating[target.namespace] = time.monotonic()
            elif error.code in REFUSED:
                known.refuse(error.said, time.time())
            raise
        known.refusals_in_a_row = 0
        self._memory.terminating.pop(target.namespace, None)
        self._cache.put("jobs", created)
        log.info("Job created", extra={**target.logged, "job": manifest["metadata"]["name"]})

    async def delete(self, namespace: str, gone: Deletion) -> None:
        """Deletes; what is gone already is fine."""
        self._check()
        await self._kube.delete(one(PLURALS[gone.kind], namespace, gone.name), gone.uid, gone.grace)

    async def note(self, target: Target, note: Note) -> None:
        """An Event; without it the condition still tells everything."""
        log.info(note.message, extra={**target.logged, "reason": note.reason})
        self._check()
        try:
            await self._kube.create(collection("events", target.namespace), self._event(target, note))
        except KubeError as error:
            log.warning("an Event was not taken: %s", error, extra=target.logged)

    async def read_refusals(self, target: Target, job: str) -> None:
        """The latest FailedCreate event of a Job that has no pod."""
        path = f"/api/v1/namespaces/{target.namespace}/events"
        selector = f"reason=FailedCreate,involvedObject.kind=Job,involvedObject.name={job}"
        latest, message = "", ""
        with suppress(GoneError):
            async for event in self._kube.list(path, {"fieldSelector": selector}):
                series = event.get("series") or {}
                at = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
                if (at or "") >= latest:
                    latest, message = at or "", event.get("message", "")
        self._memory.of(target.uid).refusals = Refusals(time.time(), message)

    def _took(self, target: Target, answer: Json) -> None:
        """The object as the answer shows it; the watch will tell the same later."""
        metadata, plural = answer["metadata"], PLURALS[target.kind]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            changed = self._cache.drop(plural, target.uid)
        else:
            changed = self._cache.put(plural, answer)
        self._on_change(changed - {target.uid})

    def _event(self, target: Target, note: Note) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{target.name}.{secrets.token_hex(8)}", "namespace": target.namespace},
            "eventTime": now,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "type": note.type,
            "reason": note.reason,
            "note": note.message.encode()[:NOTE_BYTES].decode(errors="ignore"),
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": target.kind,
                "namespace": target.namespace,
                "name": target.name,
                "uid": target.uid,
            },
        }
