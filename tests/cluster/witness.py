"""Sees all that an operator says: each status of each session, each Event, and its metrics meanwhile."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from tests.cluster.operators import Replica
from tests.cluster.rest import Rest, RestError

Json = dict[str, Any]
Named = tuple[str, str]
"""Namespace and name."""

_WATCHED = {
    "session": "/apis/avatars.dev/v1alpha1/avatarsessions",
    "event": "/apis/events.k8s.io/v1/events",
}
_WAITING = re.compile(r'^avatar_sessions\{phase="(\w+)",reason="(\w+)"\} ([\d.]+)$', re.MULTILINE)
_SAMPLE_SECONDS = 0.1


@dataclass
class Told:
    """What was told about one session, in order.

    Attributes:
        statuses: one for each version of the object.
        events: type, reason and note.
    """

    statuses: list[Json] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)

    def conditions(self, kind: str = "Succeeded") -> list[Json]:
        """Each version of one condition; its message may have changed alone."""
        found = [c for status in self.statuses for c in status.get("conditions", ()) if c["type"] == kind]
        return [c for before, c in zip([None, *found], found, strict=False) if c != before]

    def shown(self, truth: str, reason: str, kind: str = "Succeeded") -> list[str]:
        """Messages with which it was shown; empty when it never was."""
        return [c["message"] for c in self.conditions(kind) if (c["status"], c["reason"]) == (truth, reason)]


class Witness:
    """A context manager; it watches while its block runs.

    Args:
        rest: of an administrator.
        replica: whose metrics are looked at.
        namespaces: that it serves.
    """

    def __init__(self, rest: Rest, replica: Replica, namespaces: Collection[str]) -> None:
        self._rest, self._replica, self._namespaces = rest, replica, set(namespaces)
        self._told: defaultdict[Named, Told] = defaultdict(Told)
        self._seen: set[str] = set()
        self._gone: set[str] = set()
        self._uids: dict[Named, str] = {}
        self._counted: set[tuple[Named, str, str]] = set()
        self._open = {kind: threading.Event() for kind in _WATCHED}
        self._stopping = threading.Event()
        self._ends: dict[str, Callable[[], None]] = {}
        self._threads = [
            threading.Thread(target=self._follow, args=(kind,), daemon=True) for kind in _WATCHED
        ]
        self._threads.append(threading.Thread(target=self._sample, daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        for kind, opened in self._open.items():
            assert opened.wait(30), f"no watch of every {kind}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            while thread.is_alive():
                for end in list(self._ends.values()):
                    end()
                thread.join(0.1)

    def of(self, namespace: str, name: str) -> Told:
        """What was told about a session so far."""
        return self._told[namespace, name]

    def counted(self, namespace: str, name: str, phase: str, reason: str) -> bool:
        """Whether `avatar_sessions` has once counted exactly those that showed this, with this session."""
        return ((namespace, name), phase, reason) in self._counted

    def all(self) -> Iterator[tuple[Named, Told]]:
        """Every session."""
        return iter(list(self._told.items()))

    def _follow(self, kind: str) -> None:
        while not self._stopping.is_set():
            with suppress(RestError), self._rest.watch(_WATCHED[kind]) as (events, self._ends[kind]):
                self._open[kind].set()
                for event in events:
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self._see(kind, event["object"])
                    elif event["type"] == "DELETED" and kind == "session":
                        self._gone.add(event["object"]["metadata"]["uid"])
            self._stopping.wait(0.2)

    def _see(self, kind: str, found: Json) -> None:
        metadata = found["metadata"]
        version = f"{metadata['uid']}/{metadata['resourceVersion']}"
        if version in self._seen or metadata["namespace"] not in self._namespaces:
            return
        self._seen.add(version)
        if kind == "session":
            named = (metadata["namespace"], metadata["name"])
            self._uids[named] = metadata["uid"]
            self._told[named].statuses.append(found.get("status", {}))
        elif found.get("reportingController") == "avatars.dev/avatar-operator":
            about = found["regarding"]
            told = self._told[about["namespace"], about["name"]]
            told.events.append((found["type"], found["reason"], found["note"]))

    def _sample(self) -> None:
        while not self._stopping.wait(_SAMPLE_SECONDS):
            before = self._showing()
            counted = _WAITING.findall(self._replica.probe("/metrics")[1])
            after = self._showing()
            for phase, reason, number in counted:
                for names in (before.get((phase, reason), set()), after.get((phase, reason), set())):
                    if len(names) == float(number):
                        self._counted.update((name, phase, reason) for name in names)

    def _showing(self) -> dict[tuple[str, str], set[Named]]:
        """The sessions that wait, by their phase and reason."""
        found: defaultdict[tuple[str, str], set[Named]] = defaultdict(set)
        for name, told in self.all():
            for status in told.statuses[-1:] if self._uids.get(name) not in self._gone else ():
                for condition in status.get("conditions", ()):
                    if (condition["type"], condition["status"]) == ("Succeeded", "Unknown"):
                        found[status["phase"], condition["reason"]].add(name)
        return found
