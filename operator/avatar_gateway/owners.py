"""Whose pod it is: the Job that controls it, and the session that controls that."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from avatar_core.cluster.kube import GoneError, Kube
from avatar_core.cluster.tokens import Caller
from avatar_core.resources import GROUP
from avatar_core.resources.base import NAME_PATTERN

KEPT_SECONDS = 60.0
SEEN_SECONDS = 5.0
"""So long a pod that is gone may still write."""
KEPT_MAX = 20_000
NAME_CHARACTERS_MAX = 253


@dataclass(frozen=True, slots=True)
class _Known:
    """When the owners of a pod were asked for, when it was seen last, and its session."""

    asked: float
    seen: float
    uid: str


class Owners:
    """Looks up sessions of pods, each at most once a minute.

    Labels are not believed, owners are: whoever may write Jobs into a namespace may name a session of that
    namespace as their owner, and of no other.

    Args:
        kube: is asked.
        clock: monotonic seconds.
    """

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._clock = kube, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[str]] = {}

    async def session_of(self, caller: Caller, *, writes: bool) -> str:
        """Uid of the session that a pod works for; empty when it works for none.

        Who writes must have been there a few seconds ago. A pod that is being deleted still is: within its
        grace it may finish. Its Job may be gone by then and is not asked for again.

        Raises:
            KubeError: the API server does not answer.
        """
        known, now = self._known.get(caller.pod_uid), self._clock()
        if known is None or now >= known.asked + KEPT_SECONDS:
            uid = await self._shared(caller.pod_uid, lambda: self._ask(caller))
            self._keep(caller.pod_uid, _Known(now, now, uid))
            return uid
        if not writes or not known.uid or now < known.seen + SEEN_SECONDS:
            return known.uid
        there = await self._shared(f"{caller.pod_uid} again", lambda: self._look(caller))
        uid = known.uid if there else ""
        self._keep(caller.pod_uid, _Known(known.asked, now, uid))
        return uid

    async def _shared(self, what: str, ask: Callable[[], Coroutine[Any, Any, str]]) -> str:
        """Whoever wants to know the same at the same time is told the same."""
        asking = self._asking.get(what)
        if asking is None:
            asking = self._asking[what] = asyncio.create_task(ask())
            asking.add_done_callback(lambda _: self._asking.pop(what, None))
        return await asyncio.shield(asking)

    def _keep(self, pod_uid: str, known: _Known) -> None:
        self._known[pod_uid] = known
        self._known.move_to_end(pod_uid)
        while len(self._known) > KEPT_MAX:
            self._known.popitem(last=False)

    async def _look(self, caller: Caller) -> str:
        """The pod's uid while it is there."""
        try:
            pod = await self._kube.get(f"/api/v1/namespaces/{caller.namespace}/pods/{caller.pod}")
            return caller.pod_uid if pod["metadata"]["uid"] == caller.pod_uid else ""
        except (GoneError, LookupError, TypeError, ValueError):
            return ""

    async def _ask(self, caller: Caller) -> str:
        namespace = caller.namespace
        try:
            pod = await self._kube.get(f"/api/v1/namespaces/{namespace}/pods/{caller.pod}")
            owner = _controller(pod, "batch", "Job")
            if pod["metadata"]["uid"] != caller.pod_uid or owner is None or not _is_name(owner["name"]):
                return ""
            job = await self._kube.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{owner['name']}")
            session = _controller(job, GROUP, "AvatarSession")
            return str(session["uid"]) if session and job["metadata"]["uid"] == owner["uid"] else ""
        except (GoneError, LookupError, TypeError, AttributeError, ValueError):
            return ""  # gone, or no such document at all


def _is_name(name: str) -> bool:
    """Whether an object may be called so. The API server takes any text as an owner's name, and `..` in a
    path leads elsewhere."""
    return len(name) <= NAME_CHARACTERS_MAX and re.fullmatch(NAME_PATTERN, name) is not None


def _controller(document: dict[str, Any], group: str, kind: str) -> dict[str, Any] | None:
    """The controlling owner, if it is of that kind."""
    for owner in document["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            is_it = owner["kind"] == kind and owner["apiVersion"].partition("/")[0] == group
            return owner if is_it else None
    return None
