"""Where in the API the operator's objects are."""

from __future__ import annotations

from avatar_core.resources import API_VERSION
from avatar_operator.names import MANAGED_BY, OPERATOR

OURS = f"{MANAGED_BY}={OPERATOR}"
"""Jobs and pods by this label only."""

_ROOTS = {
    "avatarsessions": f"/apis/{API_VERSION}",
    "avatars": f"/apis/{API_VERSION}",
    "avatarproviders": f"/apis/{API_VERSION}",
    "jobs": "/apis/batch/v1",
    "pods": "/api/v1",
    "events": "/apis/events.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}
PLURALS = {
    "AvatarSession": "avatarsessions",
    "Avatar": "avatars",
    "AvatarProvider": "avatarproviders",
    "Job": "jobs",
    "Pod": "pods",
}
WATCHED = ("avatarsessions", "avatars", "avatarproviders", "jobs", "pods")
LABELLED = frozenset({"jobs", "pods"})


def collection(plural: str, namespace: str | None) -> str:
    """All objects of a kind, of one namespace or of all."""
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{_ROOTS[plural]}{within}/{plural}"


def one(plural: str, namespace: str, name: str) -> str:
    """One object."""
    return f"{collection(plural, namespace)}/{name}"


def selection(plural: str) -> dict[str, str]:
    """The query that leaves out what is not the operator's."""
    return {"labelSelector": OURS} if plural in LABELLED else {}
