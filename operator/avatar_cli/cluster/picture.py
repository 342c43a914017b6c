"""A session and what belongs to it in the cluster: its Job, its pod, its Events; as far as one may look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from avatar_cli.cluster.connection import Cluster
from avatar_cli.cluster.session import Session
from avatar_core.errors import AvatarError, Reason
from avatar_core.mistakes import printable
from avatar_operator.names import SESSION_UID

Json = Mapping[str, Any]
_EVENTS_SHOWN = 8
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Happening:
    """One Event; `about` is the kind of object it is about."""

    at: datetime
    kind: str
    reason: str
    message: str
    about: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What `describe` shows.

    Attributes:
        job, pod: name and state in words; empty when there is none.
        events: the last ones, in order.
        hidden: what one may not see, in words; empty when one may see all.
    """

    session: Session
    job: str
    pod: str
    events: tuple[Happening, ...]
    hidden: str


async def look(cluster: Cluster, session: Session) -> Picture:
    """Puts the picture of a session together."""
    hidden: list[str] = []
    base = f"/api/v1/namespaces/{session.namespace}"
    job = None
    if name := session.status.job_name:
        path = f"/apis/batch/v1/namespaces/{session.namespace}/jobs/{name}"
        job = await _seen(cluster, path, {}, "Jobs", hidden)
    pod = await _newest_pod(cluster, session, hidden)
    found: list[Happening] = []
    for uid in [session.uid, *([pod["metadata"]["uid"]] if pod else [])]:
        query = {"fieldSelector": f"involvedObject.uid={uid}", "limit": "500"}
        listed = await _seen(cluster, f"{base}/events", query, "Events", hidden)
        found += map(_happening, (listed or {}).get("items") or ())
    found.sort(key=lambda one: one.at)
    return Picture(
        session,
        _job_in_words(name, job) if name else "",
        pod_in_words(pod) if pod else "",
        tuple(found[-_EVENTS_SHOWN:]),
        f"You may not see: {', '.join(dict.fromkeys(hidden))}." if hidden else "",
    )


async def newest_pod(cluster: Cluster, session: Session) -> Json | None:
    """The pod that was made last for a session.

    Raises:
        AvatarError: FORBIDDEN, one may not list pods.
    """
    path = f"/api/v1/namespaces/{session.namespace}/pods"
    listed = await cluster.get(path, labelSelector=f"{SESSION_UID}={session.uid}")
    pods = listed.get("items") or []
    # Two made within one second are told apart by their names alone; any of them is right then.
    return max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)


async def _newest_pod(cluster: Cluster, session: Session, hidden: list[str]) -> Json | None:
    try:
        return await newest_pod(cluster, session)
    except AvatarError as error:
        if error.reason is not Reason.FORBIDDEN:
            raise
        hidden.append("pods")
        return None


async def _seen(
    cluster: Cluster, path: str, query: Mapping[str, str], what: str, hidden: list[str]
) -> Json | None:
    try:
        return await cluster.get(path, **query)
    except AvatarError as error:
        if error.reason is Reason.FORBIDDEN:
            hidden.append(what)
        elif error.reason is not Reason.SESSION_NOT_FOUND:
            raise
        return None


def _job_in_words(name: str, job: Json | None) -> str:
    if job is None:
        return f"{name} (gone)"
    conditions = job.get("status", {}).get("conditions") or ()
    ends = (one for one in conditions if one["type"] in ("Complete", "Failed"))
    over = next((one for one in ends if one["status"] == "True"), None)
    if over is not None:
        why = over.get("reason")
        return f"{name}, {over['type']}{f' ({why})' if why and over['type'] == 'Failed' else ''}"
    return f"{name}, {'suspended' if job['spec'].get('suspend') else 'under way'}"


def pod_in_words(pod: Json) -> str:
    """A pod's name, phase, node, and what its container waits for or ended with."""
    status, metadata = pod.get("status", {}), pod["metadata"]
    node = pod["spec"].get("nodeName")
    words = [
        metadata["name"],
        "being deleted" if "deletionTimestamp" in metadata else status.get("phase", ""),
    ]
    if node:
        words.append(f"on {node}")
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        if waiting := state.get("waiting"):
            words.append(f"waiting: {waiting.get('reason', '')}")
        if ended := state.get("terminated"):
            words.append(f"exit code {ended.get('exitCode')} ({ended.get('reason', '')})")
    return printable(", ".join(word for word in words if word))


def _happening(event: Json) -> Happening:
    last = (event.get("series") or {}).get("lastObservedTime")
    at = last or event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
    return Happening(
        at=datetime.fromisoformat(at) if at else _EPOCH,
        kind=event.get("type", ""),
        reason=event.get("reason", ""),
        message=event.get("message", ""),
        about=event.get("involvedObject", {}).get("kind", ""),
    )
