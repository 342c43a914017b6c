"""Who may post what, with real tokens."""

from __future__ import annotations

import json
import time

import pytest
from tests.cluster import RUNNING, Kubelet, ended
from tests.cluster.operators import Replica, World

pytestmark = pytest.mark.cluster
NEWS = {"stage": "render", "done": 1, "total": 4, "percent": 25}


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
    assert operator.post("progress", "\xff\xfe", NEWS)[0] == 401
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
