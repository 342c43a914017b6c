"""What breaks in clusters: watches are cut, servers restart, writes are refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from tests.cluster import RUNNING, Kubelet, Refusal, eventually
from tests.cluster.operators import SESSIONS, Replica, World
from tests.cluster.sessions import all_succeed, pods_that_run

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
PATIENT = {"duration": 60, "deadline": 50, "period": 1}
"""Servers are away for longer than a Lease usually lasts."""
KINDS = {"avatarsessions", "avatars", "avatarproviders", "jobs", "pods"}


def listed_anew(operator: Replica) -> set[str]:
    """Kinds whose watch had to begin with a list, all told."""
    said = [entry["message"] for entry in operator.logs if entry["message"].endswith("are listed anew")]
    return {kind for kind in KINDS if sum(message.startswith(f"{kind} ") for message in said) > 2}


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_vanished_while_the_watches_were_cut_is_noticed(
    world: World, kubelet: Kubelet, forgotten: bool
) -> None:
    """With its history forgotten the API server answers 410 Gone, and no event tells of the deletions."""
    link = world.cluster.link()
    operator = world.start(link=link, lease=PATIENT)
    world.apply("gone", ttlSecondsAfterFinished=0)
    world.apply("jobless")
    world.apply("podless")
    pods = {name: kubelet.pod(f"avatars.dev/session={name}") for name in ("gone", "jobless", "podless")}
    for name, pod in pods.items():
        kubelet.play(pod, RUNNING)
        world.until("Unknown", "Running", name)
    with link.refused():
        [job] = world.jobs_of("jobless")
        path = f"/apis/batch/v1/namespaces/{world.namespace}/jobs/{job['metadata']['name']}"
        world.cluster.rest.delete(path, {"propagationPolicy": "Background"})
        world.cluster.rest.delete(f"/api/v1/namespaces/{world.namespace}/pods/{pods['podless']}")
        path = f"{SESSIONS.format(world.namespace)}/gone"
        world.cluster.rest.patch(path, {"metadata": {"finalizers": None}})
        world.delete("gone")
        left = {"podless"}
        eventually(lambda: {job["metadata"]["labels"]["avatars.dev/session"] for job in world.jobs()} == left)
        eventually(lambda: not {pod["metadata"]["name"] for pod in world.pods()} & set(pods.values()))
        if forgotten:
            world.cluster.forget_history()
    eventually(lambda: link.connections > 0, seconds=60)
    back = time.monotonic()
    running = 'avatar_sessions{phase="Running",reason="Running"}'
    eventually(lambda: operator.metric(running) == 0 and len(world.jobs_of("jobless")) == 1)
    world.until("Unknown", "Starting", "podless")
    assert time.monotonic() < back + 10
    assert operator.probe("/healthz")[0] == 200
    assert eventually(lambda: listed_anew(operator) == (KINDS if forgotten else set()), seconds=10)
    for name in ("jobless", "podless"):
        kubelet.play(kubelet.pod(f"avatars.dev/session={name}", seconds=30), RUNNING)
        world.until("Unknown", "Running", name)
    assert [world.status(name)["attempt"] for name in ("jobless", "podless")] == [2, 1]
    assert operator.errors == []


def test_the_api_server_restarts_while_sessions_come_and_end(world: World) -> None:
    operator = world.start(lease=PATIENT)
    names = [f"s{number:02}" for number in range(20)]
    with world.cluster.kubelet(world.namespace, pods_that_run(1)):
        for name in names[:12]:
            world.apply(name)
        world.cluster.restart_api_server()
        for name in names[12:]:
            world.apply(name)
        all_succeed(world, names)
    assert operator.process.poll() is None
    assert operator.errors == []


def test_etcd_is_down_for_ten_seconds(world: World) -> None:
    operator = world.start(lease=PATIENT)
    names = [f"s{number:02}" for number in range(10)]
    with world.cluster.kubelet(world.namespace, pods_that_run(1)) as kubelet:
        for name in names:
            world.apply(name)
        pod = kubelet.pod()
        token, post = world.token(pod), {"stage": "render", "percent": 5}
        world.cluster.stop_etcd()
        assert operator.post("progress", token, post)[0] in {202, 503}
        time.sleep(10)
        world.cluster.start_etcd()
        all_succeed(world, names)
    assert operator.process.poll() is None
    assert operator.errors == []


@pytest.mark.parametrize("code", [409, 429, 500])
def test_a_storm_of_refusals(world: World, code: int) -> None:
    operator = world.start(lease=PATIENT)
    names = [f"s{number:02}" for number in range(6)]
    with world.cluster.kubelet(world.namespace, pods_that_run(0.5)):
        with world.cluster.refusing(world.user, Refusal(code, one_in=2)):
            for name in names:
                world.apply(name)
            time.sleep(5)
        all_succeed(world, names)
    refused = [r for r in world.cluster.audit_log(world.user) if r.code == code and r.resource != "leases"]
    assert len(refused) > len(names)
    assert operator.errors == []


def test_what_retry_after_says_is_kept_to(world: World) -> None:
    operator = world.start(lease=PATIENT)
    with world.cluster.kubelet(world.namespace, pods_that_run(0.5)):
        with world.cluster.refusing(world.user, Refusal(429, retry_after=3)):
            begin = datetime.now(UTC)
            world.apply()
            time.sleep(7)
        all_succeed(world, ["hello"])
    asked = [r for r in world.cluster.audit_log(world.user, since=begin) if r.writes and r.name == "hello"]
    refused = [request.at for request in asked if request.code == 429]
    assert len(refused) in {2, 3}
    assert all((later - earlier).total_seconds() >= 3 for earlier, later in pairwise(refused))
    assert operator.errors == []
