"""Sessions that are applied, or have been."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from tests.cluster.operators import SESSIONS, World

from avatar_operator.names import FINALIZER

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Sent:
    """A session that was applied.

    Attributes:
        created: as the API server says; whole Unix seconds.
        at: Unix seconds just before it was sent.
    """

    name: str
    uid: str
    created: int
    at: float


def arrive(world: World, count: int, rate: float) -> list[Sent]:
    """`count` sessions, `rate` a second."""
    begin, sent = time.monotonic(), []
    for number in range(count):
        time.sleep(max(0, begin + number / rate - time.monotonic()))
        sent.append(_send(world, number))
    return sent


def burst(world: World, count: int) -> list[Sent]:
    """`count` sessions as fast as the API server takes them."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(partial(_send, world), range(count)))


def finish(world: World, count: int) -> None:
    """`count` sessions that ended a moment ago and whose videos are still there."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(partial(_finish, world), range(count)))


def _send(world: World, number: int) -> Sent:
    name, at = f"s{number:05}", time.time()
    metadata = world.apply(name, videoTTLSeconds=86400)["metadata"]
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    return Sent(name, metadata["uid"], int(created.timestamp()), at)


def _finish(world: World, number: int) -> None:
    name, now = f"f{number:05}", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = SESSIONS.format(world.namespace)
    document = {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": "AvatarSession",
        "metadata": {"name": name, "finalizers": [FINALIZER]},
        "spec": {"text": "Hello.", "videoTTLSeconds": 86400},
    }
    world.cluster.rest.post(path, document)
    kinds = (("Succeeded", "Succeeded"), ("VideoAvailable", "Published"))
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "message": "m" * 80, "lastTransitionTime": now}
        for kind, reason in kinds
    ]
    status = {
        "phase": "Succeeded",
        "conditions": [{**condition, "observedGeneration": 1} for condition in conditions],
        "observedGeneration": 1,
        "stage": "publish",
        "attempt": 1,
        "completedAt": now,
        "reply": "r" * 300,
    }
    world.cluster.rest.patch(f"{path}/{name}/status", {"status": status})
