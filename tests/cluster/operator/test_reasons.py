"""Reasons, each caused for real: what is wrong is told at once, by condition, Event and metric."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import (
    IMAGE_PULL_BACK_OFF,
    NODE_LOST,
    OOM_KILLED,
    RUNNING,
    UNSCHEDULABLE,
    Cluster,
    Kubelet,
    disrupted,
    ended,
    eventually,
    waiting,
)
from tests.cluster.operators import CRDS, Replica, World, a_world

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def own_cluster(cluster_tools: None) -> Iterator[Cluster]:
    flags = {"kube-controller-manager": ["--concurrent-job-syncs=20"]}
    with Cluster.start(controllers=True, manifests=[CRDS], flags=flags) as running:
        yield running


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


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:50].strip("-")


def pod_of(kubelet: Kubelet, name: str, attempt: int = 1) -> str:
    return kubelet.pod(f"avatars.dev/session={name},avatars.dev/attempt={attempt}", seconds=15)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (IMAGE_PULL_BACK_OFF, "ImagePullBackOff"),
        (UNSCHEDULABLE, "Unschedulable"),
        (waiting("CreateContainerConfigError", 'secret "openai" not found'), "SecretNotFound"),
        (waiting("CreateContainerError", "no such command"), "ContainerCannotStart"),
    ],
)
def test_what_keeps_a_pod_from_starting(
    world: World, operator: Replica, kubelet: Kubelet, name: str, state: Any, reason: str
) -> None:
    world.apply(name, startTimeoutSeconds=2)
    kubelet.play(pod_of(kubelet, name), state)
    world.until("Unknown", reason, name)
    status = world.until("False", reason, name)
    assert status["conditions"][0]["message"].startswith("not running after 2 s")
    assert eventually(lambda: ("Warning", reason) in world.events(name))
    assert operator.metric(f'avatar_sessions_finished_total{{reason="{reason}"}}') >= 1
    assert eventually(lambda: not world.jobs_of(name))


@pytest.mark.slow
def test_out_of_memory_twice(world: World, operator: Replica, kubelet: Kubelet, name: str) -> None:
    world.apply(name)
    for _ in range(2):
        kubelet.play(pod_of(kubelet, name), RUNNING, OOM_KILLED)
    world.until("False", "OOMKilled", name)


def test_a_final_end_is_told_in_the_pods_own_words(
    world: World, operator: Replica, kubelet: Kubelet, name: str
) -> None:
    world.apply(name)
    message = json.dumps({"reason": "LLMUnauthorized", "message": "the server says 401"})
    kubelet.play(pod_of(kubelet, name), RUNNING, ended(14, message))
    status = world.until("False", "LLMUnauthorized", name)
    assert "the server says 401" in status["conditions"][0]["message"]


def test_an_exit_code_nobody_explains(world: World, operator: Replica, kubelet: Kubelet, name: str) -> None:
    world.apply(name)
    kubelet.play(pod_of(kubelet, name), RUNNING, ended(70))
    world.until("False", "Internal", name)


def test_a_result_in_the_termination_message(
    world: World, operator: Replica, kubelet: Kubelet, name: str
) -> None:
    world.apply(name)
    pod = pod_of(kubelet, name)
    message = json.dumps({"result": world.receipt(name)}, separators=(",", ":"))
    assert len(message) <= 4096
    kubelet.play(pod, RUNNING, ended(0, message))
    assert world.until("True", "Succeeded", name)["video"]["frames"] == 36


def test_a_lost_result_is_looked_for_by_another_attempt(
    world: World, operator: Replica, kubelet: Kubelet, name: str
) -> None:
    world.apply(name)
    kubelet.play(pod_of(kubelet, name), RUNNING, ended(0))
    kubelet.play(pod_of(kubelet, name, 2), RUNNING, ended(0))
    world.until("False", "ResultLost", name)


@pytest.mark.slow
def test_time_runs_out_in_a_hung_pod(world: World, operator: Replica, kubelet: Kubelet, name: str) -> None:
    world.apply(name, timeoutSeconds=1)
    pod = pod_of(kubelet, name)
    kubelet.play(pod, RUNNING)
    news = {"stage": "render", "done": 9, "total": 20, "percent": 45}
    assert operator.post("progress", world.token(pod), news)[0] == 202
    status = world.until("False", "DeadlineExceeded", name)
    assert "after 1 s in stage render at 45 %" in status["conditions"][0]["message"]


@pytest.mark.slow
def test_an_evicted_pod_is_replaced(world: World, operator: Replica, kubelet: Kubelet, name: str) -> None:
    world.apply(name)
    first = pod_of(kubelet, name)
    kubelet.play(first, RUNNING, disrupted("EvictionByEvictionAPI"))
    world.until("Unknown", "PodDisrupted", name)
    second = kubelet.pod(f"avatars.dev/session={name}", seconds=20)
    assert second != first
    kubelet.play(second, RUNNING)
    world.until("Unknown", "Running", name)


def test_a_silent_node(world: World, operator: Replica, kubelet: Kubelet, name: str) -> None:
    world.apply(name)
    kubelet.play(pod_of(kubelet, name), RUNNING, NODE_LOST)
    world.until("Unknown", "NodeLost", name)


def test_a_prompt_waits_for_a_provider_and_goes_on_when_it_comes(
    world: World, operator: Replica, kubelet: Kubelet, name: str
) -> None:
    world.apply(name, prompt="Who are you?", providerRef={"name": "later"})
    world.until("Unknown", "ProviderNotFound", name)
    world.cluster.apply(
        f"""
apiVersion: avatars.dev/v1alpha1
kind: AvatarProvider
metadata: {{name: later, namespace: {world.namespace}}}
spec: {{llm: {{model: some, apiKeySecretRef: {{name: llm, key: key}}}}}}
"""
    )
    pod = pod_of(kubelet, name)
    found = world.cluster.rest.get(f"/api/v1/namespaces/{world.namespace}/pods/{pod}")
    environment = {e["name"]: e for e in found["spec"]["containers"][0]["env"]}
    assert environment["AVATAR_LLM_API_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "llm", "key": "key"}


def test_an_avatar_that_nobody_prepared(world: World, operator: Replica, name: str) -> None:
    world.apply(name, avatarRef={"name": "nobody"}, startTimeoutSeconds=2)
    world.until("Unknown", "AvatarNotFound", name)
    world.until("False", "AvatarNotFound", name)


def test_history_that_is_not_there(world: World, operator: Replica, name: str) -> None:
    world.apply(name, continueFrom={"name": "never-was"}, startTimeoutSeconds=2)
    world.until("Unknown", "HistoryNotFound", name)
    world.until("False", "HistoryNotFound", name)


def test_a_job_of_that_name_that_belongs_to_somebody_else(world: World, operator: Replica, name: str) -> None:
    from avatar_operator.names import job_name

    world.apply(name, suspend=True)
    world.until("Unknown", "Suspended", name)
    uid = world.session(name)["metadata"]["uid"]
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}
    foreign = {"metadata": {"name": job_name(uid, 1)}, "spec": {"suspend": True, "template": template}}
    world.cluster.rest.post(
        f"/apis/batch/v1/namespaces/{world.namespace}/jobs",
        {"apiVersion": "batch/v1", "kind": "Job", **foreign},
    )
    world.change(name, suspend=False)
    world.until("Unknown", "JobNameTaken", name)


def test_a_missing_service_account(own_cluster: Cluster, tmp_path: Path) -> None:
    with a_world(own_cluster, tmp_path) as world:
        path = f"/api/v1/namespaces/{world.namespace}/serviceaccounts/avatar-session"
        world.cluster.rest.delete(path)
        world.start()
        world.apply()
        world.until("Unknown", "ServiceAccountNotFound")


def test_a_full_quota(own_cluster: Cluster, tmp_path: Path) -> None:
    with a_world(own_cluster, tmp_path) as world:
        quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
        path = f"/api/v1/namespaces/{world.namespace}/resourcequotas"
        world.cluster.rest.post(path, {"apiVersion": "v1", "kind": "ResourceQuota", **quota})
        eventually(lambda: world.cluster.rest.get(f"{path}/none")["status"].get("hard"))
        world.start()
        world.apply()
        world.until("Unknown", "QuotaExceeded")


@pytest.mark.slow
def test_a_job_that_the_api_server_does_not_take(own_cluster: Cluster, tmp_path: Path) -> None:
    with a_world(own_cluster, tmp_path) as world:
        quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
        path = f"/api/v1/namespaces/{world.namespace}/resourcequotas"
        world.cluster.rest.post(path, {"apiVersion": "v1", "kind": "ResourceQuota", **quota})
        eventually(lambda: world.cluster.rest.get(f"{path}/none")["status"].get("hard"))
        world.start()
        world.apply("waits")
        world.apply("fails", startTimeoutSeconds=3)
        world.until("Unknown", "QuotaExceeded", "waits")
        world.until("False", "QuotaExceeded", "fails")
        world.cluster.rest.patch(f"{path}/none", {"spec": {"hard": {"count/jobs.batch": "1"}}})
        assert eventually(lambda: world.jobs_of("waits"))
        world.until("Unknown", "Starting", "waits")


def test_one_after_the_other(own_cluster: Cluster, tmp_path: Path) -> None:
    with a_world(own_cluster, tmp_path) as world:
        operator = world.start(sessionsInNamespace=1)
        with world.cluster.kubelet(world.namespace) as kubelet:
            world.apply("first")
            pod = pod_of(kubelet, "first")
            world.apply("second")
            assert world.until("Unknown", "WaitingForCapacity", "second")
            assert eventually(lambda: world.status("second").get("queuePosition")) == 1
            kubelet.play(pod, RUNNING)
            assert operator.post("result", world.token(pod), world.receipt("first"))[0] == 202
            world.until("True", "Succeeded", "first")
            kubelet.play(pod, ended(0))
            pod_of(kubelet, "second")
            assert eventually(lambda: "queuePosition" not in world.status("second"))


@pytest.mark.slow
def test_a_video_expires_and_a_session_goes(own_cluster: Cluster, tmp_path: Path) -> None:
    with a_world(own_cluster, tmp_path) as world:
        operator = world.start()
        with (
            world.cluster.kubelet(world.namespace) as kubelet,
            world.cluster.kubelet(world.release, lambda _: (RUNNING, ended(0))),
        ):
            world.apply(videoTTLSeconds=2, ttlSecondsAfterFinished=8)
            pod = pod_of(kubelet, "hello")
            kubelet.play(pod, RUNNING)
            assert operator.post("result", world.token(pod), world.receipt())[0] == 202
            world.until("True", "Succeeded")
            kubelet.play(pod, ended(0))
            status = world.until("False", "VideoExpired", kind="VideoAvailable")
            assert "url" not in status["video"]
            assert eventually(lambda: not world.session())
            assert not world.jobs()
