"""The log of a session's pod, and of the pods that follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from avatar_cli.cluster.connection import Cluster
from avatar_cli.cluster.picture import newest_pod, pod_in_words
from avatar_cli.cluster.session import Session
from avatar_cli.cluster.sessions import Sessions
from avatar_cli.cluster.story import waits_for
from avatar_core.errors import AvatarError, Reason
from avatar_operator.names import CONTAINER

Json = Mapping[str, Any]
Tell = Callable[[str], None]
_LOOK_SECONDS = 1.0
_LINE_CHARACTERS_MAX = 1024 * 1024


async def print_log(cluster: Cluster, session: Session, tell: Tell) -> None:
    """Tells each line that the newest pod has written so far.

    Raises:
        AvatarError: NOT_POSSIBLE, there is no pod, or it has not begun.
    """
    pod = await newest_pod(cluster, session)
    if pod is None:
        raise AvatarError(Reason.NOT_POSSIBLE, _no_pod(session))
    if not _has_log(pod):
        raise AvatarError(Reason.NOT_POSSIBLE, f"the pod has no log yet: {pod_in_words(pod)}")
    async for line in _lines(cluster, pod, follow=False):
        tell(line)


async def follow_logs(cluster: Cluster, session: Session, tell: Tell, note: Tell) -> None:
    """Tells lines as they come, from pod to pod, until the session is over.

    Raises:
        AvatarError: NOT_POSSIBLE, it is over and no pod is there.
    """
    sessions, told, said = Sessions(cluster), "", ""
    while True:
        pod = await newest_pod(cluster, session)
        if pod is not None and pod["metadata"]["uid"] != told and _has_log(pod):
            told = pod["metadata"]["uid"]
            note(f"-- {pod['metadata']['name']}")
            async for line in _lines(cluster, pod, follow=True):
                tell(line)
        session = await sessions.read(session.name)
        if session.over:
            if not told and pod is None:
                raise AvatarError(Reason.NOT_POSSIBLE, _no_pod(session))
            if pod is None or pod["metadata"]["uid"] == told or not _has_log(pod):
                return
            continue
        if (waits := waits_for(session)) and waits != said:
            note(waits)
            said = waits
        await asyncio.sleep(_LOOK_SECONDS)


async def _lines(cluster: Cluster, pod: Json, *, follow: bool) -> AsyncIterator[str]:
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
    query = {"container": CONTAINER, **({"follow": "true"} if follow else {})}
    async with cluster.stream(path, query) as answer:
        unread = ""
        async for text in answer.aiter_text():
            *lines, unread = (unread + text).split("\n")
            for line in lines:
                yield line
            if len(unread) > _LINE_CHARACTERS_MAX:  # of a pod that never ends its line
                yield unread
                unread = ""
        if unread:
            yield unread


def _has_log(pod: Json) -> bool:
    """Whether its container has run or runs."""
    states = [one.get("state") or {} for one in pod.get("status", {}).get("containerStatuses") or ()]
    return any("running" in state or "terminated" in state for state in states)


def _no_pod(session: Session) -> str:
    if session.over:
        return "the pod is gone, and its log with it; a pod stays for five minutes after a success"
    return f"there is no pod yet: {waits_for(session) or 'it is about to start'}"
