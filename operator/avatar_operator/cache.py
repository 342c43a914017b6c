"""What the operator has seen of the cluster: plain values, indexed by what names them; newer ones win."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from avatar_operator.avatars.objects import AvatarObject, Prepared
from avatar_operator.avatars.reading import read_avatar, view_of
from avatar_operator.belongings import Belongings, Owner, Seen
from avatar_operator.names import COMPONENT, FINALIZER
from avatar_operator.objects import AvatarView, JobView, PodView, ProviderView, SessionView
from avatar_operator.providers.decide import ProviderObject, read_provider
from avatar_operator.reading import read_session
from avatar_operator.status import Result

log = logging.getLogger(__name__)
Json = Mapping[str, Any]
Named = tuple[str, str]
"""Namespace and name."""
CLEANUP = "cleanup"
_Resource = SessionView | AvatarObject | ProviderObject


@dataclass(slots=True)
class _Session:
    view: SessionView
    finalizers: tuple[str, ...] = ()


class Cache:
    """Everything that was listed or watched.

    Every change returns the uids of the sessions, avatars and providers that it may matter to.

    Args:
        on_cleanup: told of every clean-up Job: its JSON, or None and its uid when it is gone.
    """

    def __init__(
        self,
        on_cleanup: Callable[[str, Json | None], None] = lambda *_: None,
    ) -> None:
        self._on_cleanup = on_cleanup
        self._versions: defaultdict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
        self._sessions: dict[str, _Session] = {}
        self._references: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._belongings = Belongings()
        self._avatars: dict[str, AvatarObject] = {}
        self._providers: dict[str, ProviderObject] = {}
        self._uids: dict[tuple[str, Named], str] = {}

    # reading

    @property
    def uids(self) -> list[str]:
        """Of all sessions."""
        return list(self._sessions)

    @property
    def avatar_uids(self) -> list[str]:
        """Of all Avatars."""
        return list(self._avatars)

    @property
    def provider_uids(self) -> list[str]:
        """Of all AvatarProviders."""
        return list(self._providers)

    def session(self, uid: str) -> SessionView | None:
        """The session of that uid."""
        found = self._sessions.get(uid)
        return found.view if found else None

    def session_named(self, namespace: str, name: str) -> SessionView | None:
        """The session of that name."""
        return self.session(self._uids.get(("avatarsessions", (namespace, name)), ""))

    def others_finalizers(self, uid: str) -> tuple[str, ...]:
        """Finalizers of a session that are not the operator's."""
        found = self._sessions.get(uid)
        return found.finalizers if found else ()

    def jobs(self, owner: Owner) -> tuple[JobView, ...]:
        """Jobs with the label of a session or avatar, in its namespace."""
        return self._belongings.jobs(owner)

    def pods(self, owner: Owner) -> tuple[PodView, ...]:
        """Pods with the label of a session or avatar, in its namespace."""
        return self._belongings.pods(owner)

    def results(self, session: SessionView) -> Iterator[tuple[str, Result]]:
        """Results in the termination messages of such pods, each with the uid of the pod's Job."""
        return self._belongings.results(session)

    def prepared(self, avatar: AvatarObject) -> Iterator[tuple[str, Prepared]]:
        """Bundles in the termination messages of such pods, each with the uid of the pod's Job."""
        return self._belongings.prepared(avatar)

    def pod(self, uid: str) -> PodView | None:
        """The pod of that uid."""
        found = self._belongings.of(uid)
        return found.view if found and isinstance(found.view, PodView) else None

    def job(self, uid: str) -> Seen | None:
        """The Job of that uid."""
        found = self._belongings.of(uid)
        return found if found and isinstance(found.view, JobView) else None

    def avatar(self, namespace: str, name: str) -> AvatarView:
        """What a session needs of an Avatar; the built-in one without a name."""
        if not name:
            return AvatarView()
        found = self._avatars.get(self._uids.get(("avatars", (namespace, name)), ""))
        return view_of(found) if found else AvatarView(found=False, ready=False)

    def avatar_of(self, uid: str) -> AvatarObject | None:
        """The Avatar of that uid."""
        return self._avatars.get(uid)

    def users(self, avatar: AvatarObject) -> tuple[str, ...]:
        """Names of the unfinished sessions that name an Avatar, sorted."""
        uids = self._waiting("avatars", (avatar.namespace, avatar.name))
        return tuple(sorted(self._sessions[uid].view.name for uid in uids))

    def provider(self, namespace: str, name: str) -> ProviderView:
        """What a session needs of an AvatarProvider; of the one called `default` without a name."""
        key = ("avatarproviders", (namespace, name or "default"))
        found = self._providers.get(self._uids.get(key, ""))
        return found.view if found else ProviderView(found=False, ready=False)

    def provider_of(self, uid: str) -> ProviderObject | None:
        """The AvatarProvider of that uid."""
        return self._providers.get(uid)

    def known(self, plural: str, namespace: str | None = None) -> set[str]:
        """Uids of all objects of a kind, of one namespace or of all."""
        return {uid for uid, (_, of) in self._versions[plural].items() if namespace in (None, of)}

    def known_version(self, plural: str, uid: str) -> int:
        """Version of one object; 0 when it is not known."""
        return self._versions[plural].get(uid, (0, ""))[0]

    # changing

    def put(self, plural: str, document: Json) -> set[str]:
        """An object as it was read, in whatever order; an older picture than the known one is passed over."""
        metadata = document["metadata"]
        uid, version = metadata["uid"], int(metadata["resourceVersion"])
        if version <= self.known_version(plural, uid):
            return set()
        self._versions[plural][uid] = version, metadata["namespace"]
        try:
            return self._put(plural, uid, document)
        except Exception:
            # One object must not keep the others from being seen.
            log.exception("%s %s can't be read", plural, uid)
            return set()

    def _put(self, plural: str, uid: str, document: Json) -> set[str]:
        metadata = document["metadata"]
        if plural in ("jobs", "pods"):
            if metadata.get("labels", {}).get(COMPONENT) != CLEANUP:
                return self._belongings.put(plural, document)
            if plural == "jobs":
                self._on_cleanup(uid, document)
            return self._belongings.drop(plural, uid)
        key = (metadata["namespace"], metadata["name"])
        woken: set[str] = set()
        if plural == "avatarsessions":
            woken = self._put_session(document)
        elif plural == "avatars":
            self._avatars[uid] = read_avatar(document)
        else:
            self._providers[uid] = read_provider(document)
        self._uids[plural, key] = uid
        return {uid, *woken, *self._waiting(plural, key)}

    def drop(self, plural: str, uid: str) -> set[str]:
        """An object is gone."""
        self._versions[plural].pop(uid, None)
        if plural in ("jobs", "pods"):
            if plural == "jobs" and self._belongings.of(uid) is None:
                self._on_cleanup(uid, None)
            return self._belongings.drop(plural, uid)
        gone, woken = self._remove(plural, uid)
        if gone is None:
            return set()
        key = (gone.namespace, gone.name)
        if self._uids.get((plural, key)) == uid:
            del self._uids[plural, key]
        return {uid, *woken, *self._waiting(plural, key)}

    def _remove(self, plural: str, uid: str) -> tuple[_Resource | None, set[str]]:
        if plural == "avatars":
            return self._avatars.pop(uid, None), set()
        if plural == "avatarproviders":
            return self._providers.pop(uid, None), set()
        found = self._sessions.pop(uid, None)
        if found is None:
            return None, set()
        self._forget_references(found.view)
        return found.view, self._held_by(found.view)

    def _put_session(self, document: Json) -> set[str]:
        view = read_session(document)
        before = self._sessions.get(view.uid)
        if before is not None:
            self._forget_references(before.view)
        others = tuple(f for f in document["metadata"].get("finalizers", ()) if f != FINALIZER)
        self._sessions[view.uid] = _Session(view, others)
        for key in _references(view):
            self._references[key].add(view.uid)
        return self._held_by(view)

    def _held_by(self, view: SessionView) -> set[str]:
        """The Avatar that a session names, if it is being deleted: it may wait for this session alone."""
        uid = self._uids.get(("avatars", (view.namespace, view.spec.avatar_ref)), "")
        avatar = self._avatars.get(uid)
        return {uid} if avatar is not None and avatar.deleting else set()

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
