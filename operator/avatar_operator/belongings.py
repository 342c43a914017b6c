"""Jobs and pods, by the object whose uid their labels name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from avatar_operator.avatars.objects import Prepared
from avatar_operator.avatars.reading import read_prepared
from avatar_operator.names import AVATAR_UID, SESSION_UID
from avatar_operator.objects import JobView, PodView
from avatar_operator.reading import read_job, read_pod
from avatar_operator.status import Result

Json = Mapping[str, Any]


class Owner(Protocol):
    """What Jobs are made for."""

    @property
    def namespace(self) -> str:
        """Its namespace."""
        ...

    @property
    def uid(self) -> str:
        """Its uid."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A Job or pod, and which object its label names."""

    namespace: str
    owner: str
    view: JobView | PodView


@dataclass(slots=True)
class _Own:
    jobs: dict[str, JobView] = field(default_factory=dict)
    pods: dict[str, PodView] = field(default_factory=dict)


class Belongings:
    """Jobs and pods of sessions and avatars. Every change returns the uid of the object it may matter to."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._own: dict[tuple[str, str], _Own] = {}
        self._results: dict[str, Result] = {}
        self._prepared: dict[str, Prepared] = {}

    def of(self, uid: str) -> Seen | None:
        """The Job or pod of that uid."""
        return self._seen.get(uid)

    def jobs(self, owner: Owner) -> tuple[JobView, ...]:
        """Jobs with the object's label, in its namespace: anybody may write labels in his own."""
        found = self._own.get((owner.namespace, owner.uid))
        return tuple(found.jobs.values()) if found else ()

    def pods(self, owner: Owner) -> tuple[PodView, ...]:
        """Pods with the object's label, in its namespace."""
        found = self._own.get((owner.namespace, owner.uid))
        return tuple(found.pods.values()) if found else ()

    def results(self, owner: Owner) -> Iterator[tuple[str, Result]]:
        """Results in the termination messages of such pods, each with the uid of the pod's Job."""
        return ((pod.job_uid, self._results[pod.uid]) for pod in self.pods(owner) if pod.uid in self._results)

    def prepared(self, owner: Owner) -> Iterator[tuple[str, Prepared]]:
        """Bundles in the termination messages of such pods, each with the uid of the pod's Job."""
        return (
            (pod.job_uid, self._prepared[pod.uid]) for pod in self.pods(owner) if pod.uid in self._prepared
        )

    def put(self, plural: str, document: Json) -> set[str]:
        """A Job or pod as it was read."""
        metadata = document["metadata"]
        labels = metadata.get("labels", {})
        owner = labels.get(SESSION_UID) or labels.get(AVATAR_UID, "")
        known = self._seen.get(metadata["uid"])
        moved = known is not None and (known.namespace, known.owner) != (metadata["namespace"], owner)
        changed = self.drop(plural, metadata["uid"]) if moved else set[str]()
        if not owner:
            return changed
        own = self._own.setdefault((metadata["namespace"], owner), _Own())
        view: JobView | PodView
        if plural == "jobs":
            view = own.jobs[metadata["uid"]] = read_job(document)
        else:
            view, result = read_pod(document)
            own.pods[view.uid] = view
            if result is not None:
                self._results[view.uid] = result
            if (prepared := read_prepared(document)) is not None:
                self._prepared[view.uid] = prepared
        self._seen[view.uid] = Seen(metadata["namespace"], owner, view)
        return {owner, *changed}

    def drop(self, plural: str, uid: str) -> set[str]:
        """A Job or pod is gone."""
        found = self._seen.pop(uid, None)
        if found is None:
            return set()
        self._results.pop(uid, None)
        self._prepared.pop(uid, None)
        key = (found.namespace, found.owner)
        own = self._own[key]
        (own.jobs if plural == "jobs" else own.pods).pop(uid, None)
        if not own.jobs and not own.pods:
            del self._own[key]
        return {found.owner}
