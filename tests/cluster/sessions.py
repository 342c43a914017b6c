"""What session pods do when a test plays many of them, and what must hold of sessions at the end."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.cluster.kubelet import Script
from tests.cluster.operators import World
from tests.cluster.patience import eventually
from tests.cluster.pod_states import RUNNING, PodState, ended

Json = dict[str, Any]


def pods_that_run(seconds: float | Callable[[], float], post: Callable[[Json], None] | None = None) -> Script:
    """A pod starts at once, runs for a while, and leaves its result in its termination message.

    Args:
        seconds: of the while, or where to ask for each pod's.
        post: is given the pod before it ends, as a session posts its result first.
    """

    def script(pod: Json) -> Iterator[PodState]:
        receipt = {
            "uid": pod["metadata"]["labels"]["avatars.dev/session-uid"],
            "reply": "Hello.",
            "video": {"bytes": 1, "sha256": "ab" * 32, "seconds": 1, "frames": 15},
        }
        yield RUNNING
        time.sleep(seconds() if callable(seconds) else seconds)
        if post is not None:
            post(pod)
        yield ended(0, json.dumps({"result": receipt}))

    return script


def jobs_made(world: World) -> Counter[str]:
    """How many Jobs the operators have ever made, by name; those that are gone count.

    A Job whose maker did not live to hear of it may be missing.
    """
    asked = world.cluster.audit_log(world.user)
    made = (r for r in asked if (r.verb, r.resource, r.code) == ("create", "jobs", 201))
    return Counter(request.name for request in made if request.namespace == world.namespace)


def all_succeed(world: World, names: Iterable[str], *, seconds: float = 60) -> None:
    """Waits until these sessions have succeeded; each must have taken one attempt and one Job."""
    wanted = set(names)

    def open_ones() -> set[str]:
        listed = world.listed()
        return {name for name in wanted if _outcome(listed.get(name, {})) != "True"}

    try:
        eventually(lambda: not open_ones(), seconds=seconds)
    except AssertionError:
        listed = world.listed()
        states = {name: listed.get(name, {}).get("status", {}).get("conditions") for name in open_ones()}
        raise AssertionError(f"{len(states)} did not succeed: {states}"[:4000]) from None
    listed, made = world.listed(), jobs_made(world)
    jobs = Counter(job["metadata"]["labels"]["avatars.dev/session"] for job in world.jobs())
    for name in wanted:
        session = listed[name]
        assert session["status"]["attempt"] == 1, (name, session["status"])
        assert session["metadata"]["finalizers"] == ["avatars.dev/store"]
        assert jobs[name] == 1, (name, jobs[name])
        assert made[session["status"]["jobName"]] <= 1, (name, made[session["status"]["jobName"]])


def _outcome(session: Json) -> str:
    conditions = session.get("status", {}).get("conditions", ())
    return next((c["status"] for c in conditions if c["type"] == "Succeeded"), "")
