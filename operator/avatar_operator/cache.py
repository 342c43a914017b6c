"""What the operator has seen of the cluster: plain values, indexed by session; newer ones win."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from avatar_operator.names import COMPONENT, FINALIZER, SESSION_UID
from avatar_operator.objects import AvatarView, JobView, PodView, ProviderView, SessionView
from avatar_operator.reading import read_avatar, read_job, read_pod, read_provider, read_session
from avatar_operator.status import Result

log = logging.getLogger(__name__)
Json = Mapping[str, Any]
Named = tuple[str, str]
"""Namespace and name."""
CLEANUP = "cleanup"


@dataclass(frozen=True, slots=True)
class Seen:
    """A Job or pod, and which session its label names."""

    namespace: str
    session: str
    view: JobView | PodView


@dataclass(slots=True)
class _Session:
    view: SessionView
    finalizers: tuple[str, ...] = ()


@dataclass(slots=True)
class _Belongings:
    jobs: dict[str, JobView] = field(default_factory=dict)
    pods: dict[str, PodView] = field(default_factory=dict)


class Cache:
    """Everything that was listed or watched.

    Every change returns the uids of the sessions that it may matter to.

    Args:
        on_cleanup: told of every clean-up Job: its JSON, or None and its uid when it is gone.
    """

    def __init__(
        self,
        on_cleanup: Callable[[str, Json | None], None] = lambda *_: None,
    ) -> None:
        self._on_cleanup = on_cleanup
        self._results: dict[str, Result] = {}
        self._versions: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._sessions: dict[str, _Session] = {}
        self._names: dict[Named, str] = {}
        self._references: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._dependents: dict[str, Seen] = {}
        self._belongings: dict[Named, _Belongings] = {}
        self._avatars: dict[str, tuple[Named, AvatarView]] = {}
        self._providers: dict[str, tuple[Named, ProviderView]] = {}
        self._uids: dict[tuple[str, Named], str] = {}

    # reading

    @property
    def uids(self) -> list[str]:
        """Of all sessions."""
        return list(self._sessions)

    def session(self, uid: str) -> SessionView | None:
        """The session of that uid."""
        found = self._sessions.get(uid)
        return found.view if found else None

    def session_named(self, namespace: str, name: str) -> SessionView | None:
        """The session of that name."""
        return self.session(self._names.get((namespace, name), ""))

    def others_finalizers(self, uid: str) -> tuple[str, ...]:
        """Finalizers of a session that are not the operator's."""
        found = self._sessions.get(uid)
        return found.finalizers if found else ()

    def jobs(self, session: SessionView) -> tuple[JobView, ...]:
        """Jobs with the session's label, in its namespace: anybody may write labels in his own."""
        found = self._belongings.get((session.namespace, session.uid))
        return tuple(found.jobs.values()) if found else ()

    def pods(self, session: SessionView) -> tuple[PodView, ...]:
        """Pods with the session's label, in its namespace."""
        found = self._belongings.get((session.namespace, session.uid))
        return tuple(found.pods.values()) if found else ()

    def results(self, session: SessionView) -> Iterator[tuple[str, Result]]:
        """Results in the termination messages of such pods, each with the uid of the pod's Job."""
        return (
            (pod.job_uid, self._results[pod.uid]) for pod in self.pods(session) if pod.uid in self._results
        )

    def pod(self, uid: str) -> PodView | None:
        """The pod of that uid."""
        found = self._dependents.get(uid)
        return found.view if found and isinstance(found.view, PodView) else None

    def job(self, uid: str) -> Seen | None:
        """The Job of that uid."""
        found = self._dependents.get(uid)
        return found if found and isinstance(found.view, JobView) else None

    def avatar(self, namespace: str, name: str) -> AvatarView:
        """An Avatar; the built-in one without a name."""
        if not name:
            return AvatarView()
        found = self._avatars.get(self._uids.get(("avatars", (namespace, name)), ""))
        return found[1] if found else AvatarView(found=False, ready=False)

    def provider(self, namespace: str, name: str) -> ProviderView:
        """An AvatarProvider; the one called `default` without a name."""
        key = ("avatarproviders", (namespace, name or "default"))
        found = self._providers.get(self._uids.get(key, ""))
        return found[1] if found else ProviderView(found=False, ready=False)

    def known(self, plural: str) -> dict[str, int]:
        """Versions by uid of all objects of a kind."""
        return dict(self._versions[plural])

    def known_version(self, plural: str, uid: str) -> int:
        """Version of one object; 0 when it is not known."""
        return self._versions[plural].get(uid, 0)

    # changing

    def put(self, plural: str, document: Json) -> set[str]:
        """An object as it was read, in whatever order; an older picture than the known one is passed over."""
        metadata = document["metadata"]
        uid, version = metadata["uid"], int(metadata["resourceVersion"])
        if version <= self._versions[plural].get(uid, 0):
            return set()
        self._versions[plural][uid] = version
        try:
            return self._put(plural, uid, document)
        except Exception:
            # One object must not keep the others from being seen.
            log.exception("%s %s can't be read", plural, uid)
            return set()

    def _put(self, plural: str, uid: str, document: Json) -> set[str]:
        metadata = document["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if plural == "avatarsessions":
            return self._put_session(document)
        if plural == "avatars":
            self._avatars[uid], self._uids[plural, key] = (key, read_avatar(document)), uid
            return self._waiting(plural, key)
        if plural == "avatarproviders":
            self._providers[uid], self._uids[plural, key] = (key, read_provider(document)), uid
            return self._waiting(plural, key)
        return self._put_dependent(plural, document)

    def drop(self, plural: str, uid: str) -> set[str]:
        """An object is gone."""
        self._versions[plural].pop(uid, None)
        if plural == "avatarsessions":
            return self._drop_session(uid)
        named: dict[str, Any] = {"avatars": self._avatars, "avatarproviders": self._providers}
        if plural in named:
            found = named[plural].pop(uid, None)
            if found is None:
                return set()
            if self._uids.get((plural, found[0])) == uid:
                del self._uids[plural, found[0]]
            return self._waiting(plural, found[0])
        return self._drop_dependent(plural, uid)

    def _put_session(self, document: Json) -> set[str]:
        view = read_session(document)
        before = self._sessions.get(view.uid)
        if before is not None:
            self._forget_references(before.view)
        others = tuple(f for f in document["metadata"].get("finalizers", ()) if f != FINALIZER)
        self._sessions[view.uid] = _Session(view, others)
        self._names[view.namespace, view.name] = view.uid
        for key in _references(view):
            self._references[key].add(view.uid)
        return {view.uid, *self._waiting("avatarsessions", (view.namespace, view.name))}

    def _drop_session(self, uid: str) -> set[str]:
        found = self._sessions.pop(uid, None)
        if found is None:
            return set()
        view = found.view
        self._forget_references(view)
        if self._names.get((view.namespace, view.name)) == uid:
            del self._names[view.namespace, view.name]
        return {uid, *self._waiting("avatarsessions", (view.namespace, view.name))}

    def _put_dependent(self, plural: str, document: Json) -> set[str]:
        metadata = document["metadata"]
        labels = metadata.get("labels", {})
        if labels.get(COMPONENT) == CLEANUP:
            if plural == "jobs":
                self._on_cleanup(metadata["uid"], document)
            return set()
        session = labels.get(SESSION_UID, "")
        if not session:
            return set()
        belongings = self._belongings.setdefault((metadata["namespace"], session), _Belongings())
        if plural == "jobs":
            job = belongings.jobs[metadata["uid"]] = read_job(document)
            self._dependents[job.uid] = Seen(metadata["namespace"], session, job)
            return {session}
        pod, result = read_pod(document)
        belongings.pods[pod.uid] = pod
        self._dependents[pod.uid] = Seen(metadata["namespace"], session, pod)
        if result is not None:
            self._results[pod.uid] = result
        return {session}

    def _drop_dependent(self, plural: str, uid: str) -> set[str]:
        found = self._dependents.pop(uid, None)
        if found is None:
            if plural == "jobs":
                self._on_cleanup(uid, None)
            return set()
        self._results.pop(uid, None)
        key = (found.namespace, found.session)
        belongings = self._belongings[key]
        (belongings.jobs if plural == "jobs" else belongings.pods).pop(uid, None)
        if not belongings.jobs and not belongings.pods:
            del self._belongings[key]
        return {found.session}

    def _waiting(self, plural: str, key: Named) -> set[str]:
        """Sessions that name this object and whose outcome is open."""
        named = self._references.get((plural, *key), ())
        return {uid for uid in named if not self._sessions[uid].view.status.finished}

    def _forget_references(self, view: SessionView) -> None:
        for key in _references(view):
            self._references[key].discard(view.uid)
            if not self._references[key]:
                del self._references[key]


def _references(view: SessionView) -> Iterator[tuple[str, str, str]]:
    spec = view.spec
    yield "avatarproviders", view.namespace, spec.provider_ref or "default"
    if spec.avatar_ref:
        yield "avatars", view.namespace, spec.avatar_ref
    if spec.continue_from:
        yield "avatarsessions", view.namespace, spec.continue_from
