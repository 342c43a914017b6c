"""The metrics of a replica say what happened, no more and no less: the API server's own log is asked."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from tests.cluster import RUNNING, Kubelet, ended, eventually
from tests.cluster.operators import Replica, World

pytestmark = pytest.mark.cluster
WRITES = ("create", "patch", "delete")


def samples(operator: Replica, name: str) -> dict[tuple[str, ...], float]:
    """Values of one metric by its labels' values, in the order of the labels' names."""
    text = operator.probe("/metrics")[1]
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    return {tuple(re.findall(r'="([^"]*)"', labels)): float(value) for labels, value in found}


def writes_of(world: World) -> Counter[tuple[str, ...]]:
    """What the API server has answered the operator's writes with."""
    log = world.cluster.audit_log(world.user)
    return Counter((str(asked.code), asked.verb) for asked in log if asked.verb in WRITES)


def test_metrics_tell_what_happened(world: World, kubelet: Kubelet) -> None:
    operator = world.start(sessionsInNamespace=3)
    for name in ("one", "two", "three", "four"):
        world.apply(name)
        world.until("Unknown", "WaitingForCapacity" if name == "four" else "Starting", name)
    for name in ("one", "two"):
        pod = kubelet.pod(f"avatars.dev/session={name}")
        kubelet.play(pod, RUNNING)
        assert operator.post("result", world.token(pod), world.receipt(name))[0] == 202
        world.until("True", "Succeeded", name)
        kubelet.play(pod, ended(0))
    kubelet.play(kubelet.pod("avatars.dev/session=three"), RUNNING)
    world.until("Unknown", "Running", "three")
    world.change("three", cancel=True)
    world.until("False", "Cancelled", "three")
    kubelet.play(kubelet.pod("avatars.dev/session=four"), RUNNING)
    world.until("Unknown", "Running", "four")

    assert samples(operator, "avatar_sessions_finished_total") == {("Succeeded",): 2, ("Cancelled",): 1}
    assert samples(operator, "avatar_session_videos_total") == {
        ("Pending",): 4,
        ("Published",): 2,
        ("NotMade",): 1,
    }
    assert eventually(
        lambda: (
            samples(operator, "avatar_sessions")
            == {("Succeeded", "Succeeded"): 2, ("Cancelled", "Cancelled"): 1, ("Running", "Running"): 1}
        )
    )
    waits = [world.status(name)["timings"]["queueSeconds"] for name in ("one", "two", "three", "four")]
    assert operator.metric("avatar_session_queue_seconds_count") == 4
    assert operator.metric("avatar_session_queue_seconds_sum") == sum(waits)
    stages = samples(operator, "avatar_session_stage_seconds_count")
    assert stages == {("speech",): 2, ("render",): 2, ("publish",): 2}
    assert operator.metric('avatar_session_stage_seconds_sum{stage="render"}') == pytest.approx(2 * 1.3)

    looks = samples(operator, "avatar_operator_reconciles_total")
    assert ("error",) not in looks
    assert looks[("done",)] >= sum(len(world.events(name)) for name in ("one", "two", "three", "four"))
    assert eventually(lambda: operator.metric("avatar_operator_queued_keys") == 0)
    assert operator.metric("avatar_operator_leader") == 1
    assert eventually(lambda: _requests(operator) == writes_of(world))
    timed = samples(operator, "avatar_operator_api_request_seconds_count")
    assert timed[("create",)] == sum(n for (_, verb), n in writes_of(world).items() if verb == "create")


def _requests(operator: Replica) -> dict[tuple[str, ...], float]:
    found = samples(operator, "avatar_operator_api_requests_total")
    return {labels: number for labels, number in found.items() if labels[1] in WRITES}
