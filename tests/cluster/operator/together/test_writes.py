"""How much the operator writes, as the API server's audit log tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cluster import RUNNING, Cluster, Kubelet, Request, ended, eventually
from tests.cluster.operators import SESSIONS, Replica, World, a_world

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def operator(world: World) -> Iterator[Replica]:
    replica = world.start(sessionsInNamespace=2)
    yield replica
    assert replica.errors == []


def asked_since(world: World, begin: datetime) -> list[Request]:
    """Requests of the operator, without its Lease."""
    return [r for r in world.cluster.audit_log(world.user, since=begin) if r.resource != "leases"]


def writes(asked: list[Request]) -> list[str]:
    return [f"{request.verb} {request.resource}" for request in asked if request.writes]


def succeeds(world: World, operator: Replica, kubelet: Kubelet, name: str, posts: int = 1) -> None:
    """The pod of a session posts its result, the last of so many posts, and ends."""
    pod = kubelet.pod(f"avatars.dev/session={name}")
    kubelet.play(pod, RUNNING)
    world.until("Unknown", "Running", name)
    token = world.token(pod)
    for _ in range(posts - 1):  # refused after it was found out whose they are: no progress is to be written
        assert operator.post("progress", token, {"stage": "none such"})[0] == 422
    assert operator.post("result", token, world.receipt(name))[0] == 202
    world.until("True", "Succeeded", name)
    kubelet.play(pod, ended(0))
    eventually(lambda: any(j["status"].get("completionTime") for j in world.jobs_of(name)))
    time.sleep(1)


def test_from_apply_to_success(world: World, operator: Replica, kubelet: Kubelet) -> None:
    begin = datetime.now(UTC)
    world.apply("thrifty")
    succeeds(world, operator, kubelet, "thrifty", posts=10)
    asked = asked_since(world, begin)
    done = writes(asked)
    assert done.count("patch avatarsessions") == 1  # the finalizer
    assert done.count("create jobs") == 1
    assert done.count("patch avatarsessions/status") <= 3
    assert done.count("create events") <= 3
    assert done.count("create tokenreviews") == 1
    assert len(done) <= 9
    assert [request for request in asked if request.code >= 400] == []


def test_waiting_in_line_costs_one_status_more(world: World, operator: Replica, kubelet: Kubelet) -> None:
    holders = ("first", "second")
    for name in holders:
        world.apply(name)
        kubelet.pod(f"avatars.dev/session={name}")
        world.until("Unknown", "Starting", name)
    begin = datetime.now(UTC)
    world.apply("third")
    world.until("Unknown", "WaitingForCapacity", "third")
    assert world.status("third")["queuePosition"] == 1
    time.sleep(2)
    assert writes(asked_since(world, begin)) == ["patch avatarsessions/status", "create events"]
    for name in holders:
        succeeds(world, operator, kubelet, name)
    succeeds(world, operator, kubelet, "third")
    mine = [f"{r.verb} {r.resource}" for r in asked_since(world, begin) if r.writes and r.name == "third"]
    assert mine.count("patch avatarsessions/status") <= 4


def test_what_needs_nothing_gets_nothing(world: World, operator: Replica, kubelet: Kubelet) -> None:
    """Changes by others: of a finished session, of its Job, and of what only looks like ours."""
    world.apply("over")
    succeeds(world, operator, kubelet, "over")
    world.apply("suspended", suspend=True)
    world.until("Unknown", "Suspended", "suspended")
    time.sleep(1)
    begin, rest = datetime.now(UTC), world.cluster.rest
    looked = 'avatar_operator_reconciles_total{result="idle"}'
    before = operator.metric(looked)
    note = {"metadata": {"annotations": {"seen": "yes"}}}
    sessions, pods = SESSIONS.format(world.namespace), f"/api/v1/namespaces/{world.namespace}/pods"
    for name in ("over", "suspended"):
        rest.patch(f"{sessions}/{name}", note)
    [job] = world.jobs_of("over")
    rest.patch(f"/apis/batch/v1/namespaces/{world.namespace}/jobs/{job['metadata']['name']}", note)
    labels = {"app.kubernetes.io/managed-by": "avatar-operator"}
    for name, more in (("foreign", {}), ("claims", {"avatars.dev/session-uid": "none"})):
        containers = [{"name": "session", "image": "example.invalid/absent:1"}]
        pod = {"metadata": {"name": name, "labels": labels | more}, "spec": {"containers": containers}}
        rest.post(pods, {"apiVersion": "v1", "kind": "Pod", **pod})
        kubelet.play(name, RUNNING, ended(1))
        rest.delete(f"{pods}/{name}")
    eventually(lambda: operator.metric(looked) > before + 2)
    time.sleep(1)
    assert writes(asked_since(world, begin)) == []


@pytest.mark.slow
def test_a_restart_with_everything_finished(own_cluster: Cluster, tmp_path: Path) -> None:
    """Succeeded, failed, cancelled; and suspended, which is as it should be."""
    with a_world(own_cluster, tmp_path) as world:
        first = world.start()
        with world.cluster.kubelet(world.namespace) as kubelet:
            for name in ("made", "failed", "cancelled"):
                world.apply(name)
            world.apply("suspended", suspend=True)
            succeeds(world, first, kubelet, "made")
            kubelet.play(kubelet.pod("avatars.dev/session=failed"), RUNNING, ended(70))
            world.until("False", "Internal", "failed")
            world.change("cancelled", cancel=True)
            world.until("False", "Cancelled", "cancelled")
            world.until("Unknown", "Suspended", "suspended")
            eventually(lambda: all(job["status"].get("conditions") for job in world.jobs()))
            time.sleep(1)
        assert first.end() == 0
        begin = datetime.now(UTC)
        second = world.start()
        assert eventually(second.leads)
        assert eventually(lambda: second.metric('avatar_operator_reconciles_total{result="idle"}') >= 4)
        time.sleep(3)
        assert writes(asked_since(world, begin)) == []
        assert second.errors == []
