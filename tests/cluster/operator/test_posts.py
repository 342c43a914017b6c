"""Who may post what, with real tokens; how much the operator writes, as the audit log tells."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cluster import RUNNING, Cluster, Kubelet, ended, eventually
from tests.cluster.operators import Replica, World, a_world

pytestmark = pytest.mark.cluster
NEWS = {"stage": "render", "done": 1, "total": 4, "percent": 25}


@pytest.fixture(scope="module")
def world(own_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(own_cluster, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def operator(world: World) -> Iterator[Replica]:
    replica = world.start()
    yield replica
    assert replica.errors == []


@pytest.fixture(scope="module")
def kubelet(world: World) -> Iterator[Kubelet]:
    with world.cluster.kubelet(world.namespace) as playing:
        yield playing


@pytest.fixture(scope="module")
def pod(world: World, operator: Replica, kubelet: Kubelet) -> str:
    """The running pod of the session `hello`."""
    world.apply()
    name = kubelet.pod("avatars.dev/session=hello")
    kubelet.play(name, RUNNING)
    world.until("Unknown", "Running")
    return name


def test_only_tokens_for_the_operator_are_taken(world: World, operator: Replica, pod: str) -> None:
    assert operator.post("progress", "x" * 900, NEWS)[0] == 401
    assert operator.post("progress", "", NEWS)[0] == 401
    assert operator.post("progress", world.token(pod, "gateway.avatars.dev"), NEWS)[0] == 401
    assert operator.post("progress", world.token(pod, ""), NEWS)[0] == 401
    unbound = world.cluster.token(world.namespace, "avatar-session", audience="operator.avatars.dev")
    assert operator.post("progress", unbound, NEWS)[0] == 401
    assert operator.post("progress", world.token(pod), NEWS)[0] == 202


def test_a_pod_of_no_session_may_not_post(world: World, operator: Replica, pod: str) -> None:
    labels = world.cluster.rest.get(f"/api/v1/namespaces/{world.namespace}/pods/{pod}")["metadata"]["labels"]
    forged = {
        "metadata": {"name": "forged", "labels": {k: v for k, v in labels.items() if "avatars.dev" in k}},
        "spec": {
            "serviceAccountName": "avatar-session",
            "containers": [{"name": "session", "image": "example.invalid/absent:1"}],
        },
    }
    path = f"/api/v1/namespaces/{world.namespace}/pods"
    world.cluster.rest.post(path, {"apiVersion": "v1", "kind": "Pod", **forged})
    assert operator.post("result", world.token("forged"), world.receipt())[0] == 403
    assert world.condition() == ("Unknown", "Running")
    world.cluster.rest.delete(f"{path}/forged", {"gracePeriodSeconds": 0})


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("progress", b"not json", 422),
        ("progress", b"[" * 100_000, 422),
        ("progress", [], 422),
        ("progress", {"stage": "rm -rf /"}, 422),
        ("progress", {"stage": "render", "percent": 1000}, 422),
        ("progress", {"stage": "render", "done": float("inf")}, 422),
        ("result", {"uid": "somebody else's"}, 403),
        ("result", b" " * 600_000, 413),
    ],
)
def test_what_is_no_report_is_refused(
    world: World, operator: Replica, pod: str, path: str, body: object, code: int
) -> None:
    time.sleep(0.2)  # the pod's own rate limit
    assert operator.post(path, world.token(pod), body)[0] == code
    assert world.condition() == ("Unknown", "Running")


def test_a_pod_with_forged_labels_brings_no_result(
    world: World, operator: Replica, kubelet: Kubelet, pod: str
) -> None:
    path = f"/api/v1/namespaces/{world.namespace}/pods"
    labels = world.cluster.rest.get(f"{path}/{pod}")["metadata"]["labels"]
    mine = {key: value for key, value in labels.items() if "batch" not in key and "job" not in key}
    containers = [{"name": "session", "image": "example.invalid/absent:1"}]
    forged = {"metadata": {"name": "liar", "labels": mine}, "spec": {"containers": containers}}
    world.cluster.rest.post(path, {"apiVersion": "v1", "kind": "Pod", **forged})
    kubelet.play("liar", RUNNING, ended(0, json.dumps({"result": world.receipt()})))
    time.sleep(1)
    assert world.condition() == ("Unknown", "Running")
    world.cluster.rest.delete(f"{path}/liar", {"gracePeriodSeconds": 0})


def test_where_a_video_lies_is_computed(world: World, operator: Replica, kubelet: Kubelet) -> None:
    uid = world.apply("liar")["metadata"]["uid"]
    pod = kubelet.pod("avatars.dev/session=liar")
    kubelet.play(pod, RUNNING)
    receipt = world.receipt("liar")
    receipt["video"]["key"] = "other/folder/video.mp4"
    receipt["url"] = "https://evil.example/"
    assert operator.post("result", world.token(pod), receipt)[0] == 202
    status = world.until("True", "Succeeded", "liar")
    assert f"/{world.namespace}/{uid}/" in status["video"]["url"]
    assert "evil" not in str(status) and "other/folder" not in str(status)


def test_who_posts_too_often_is_held_back(world: World, operator: Replica, pod: str) -> None:
    token = world.token(pod)
    codes = [operator.post("progress", token, {**NEWS, "done": n})[0] for n in range(60)]
    assert 202 in codes and 429 in codes


def test_writes_are_few(world: World, operator: Replica, kubelet: Kubelet) -> None:
    begin = datetime.now(UTC)
    world.apply("thrifty")
    pod = kubelet.pod("avatars.dev/session=thrifty")
    kubelet.play(pod, RUNNING)
    world.until("Unknown", "Running", "thrifty")
    token = world.token(pod)
    assert operator.post("result", token, world.receipt("thrifty"))[0] == 202
    world.until("True", "Succeeded", "thrifty")
    kubelet.play(pod, ended(0))
    eventually(lambda: any(j["status"].get("completionTime") for j in world.jobs_of("thrifty")))
    time.sleep(1)
    asked = [r for r in world.cluster.audit_log(world.user, since=begin) if r.resource != "leases"]
    sessions = [r for r in asked if r.writes and r.name == "thrifty"]
    assert [r.resource for r in sessions if r.resource == "avatarsessions"] == ["avatarsessions"]
    assert len([r for r in sessions if r.resource == "avatarsessions/status"]) <= 3
    assert len([r for r in asked if (r.verb, r.resource) == ("create", "jobs")]) == 1
    assert len([r for r in asked if (r.verb, r.resource) == ("create", "events")]) <= 3
    assert len([r for r in asked if r.resource == "tokenreviews"]) == 1
    assert [r for r in asked if r.code >= 400] == []
    others = {r.resource for r in asked if r.writes}
    assert others <= {"avatarsessions", "avatarsessions/status", "jobs", "events", "tokenreviews"}


@pytest.mark.slow
def test_a_restart_with_everything_finished_writes_nothing(own_cluster: Cluster, tmp_path: Path) -> None:
    with a_world(own_cluster, tmp_path) as world:
        first = world.start()
        with world.cluster.kubelet(world.namespace) as kubelet:
            world.apply()
            pod = kubelet.pod("avatars.dev/session=hello")
            kubelet.play(pod, RUNNING)
            assert first.post("result", world.token(pod), world.receipt())[0] == 202
            world.until("True", "Succeeded")
            kubelet.play(pod, ended(0))
            eventually(lambda: world.jobs()[0]["status"].get("completionTime"))
            time.sleep(0.5)
        assert first.end() == 0
        begin = datetime.now(UTC)
        second = world.start()
        assert eventually(second.leads)
        assert eventually(lambda: second.metric('avatar_operator_reconciles_total{result="idle"}') >= 1)
        time.sleep(3)
        asked = world.cluster.audit_log(world.user, since=begin)
        assert [r for r in asked if r.writes and r.resource != "leases"] == []
