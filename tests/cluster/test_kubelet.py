"""Played pods as the Job controller of a real cluster takes them."""

from __future__ import annotations

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
    PodState,
    disrupted,
    ended,
    waiting,
)
from tests.cluster.jobs import job
from tests.cluster.patience import eventually

pytestmark = pytest.mark.cluster


class Jobs:
    """Jobs and their pods in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    def create(self, name: str, **spec: Any) -> None:
        self.cluster.rest.post(self._jobs, job(name, **spec))

    def delete(self, name: str) -> None:
        self.cluster.rest.delete(f"{self._jobs}/{name}", propagationPolicy="Background")

    def condition(self, name: str) -> str:
        """Type and reason of the terminal condition that is true, or nothing."""
        conditions = self.cluster.rest.get(f"{self._jobs}/{name}")["status"].get("conditions", [])
        terminal = [
            each for each in conditions if each["type"] in ("Complete", "Failed") and each["status"] == "True"
        ]
        return f"{terminal[0]['type']} {terminal[0]['reason']}" if terminal else ""

    def failed(self, name: str) -> int:
        count: int = self.cluster.rest.get(f"{self._jobs}/{name}")["status"].get("failed", 0)
        return count

    def pod(self, name: str) -> dict[str, Any]:
        return self.cluster.rest.get(f"{self._pods}/{name}")

    def pods(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.cluster.rest.get(self._pods)["items"]]


@pytest.fixture
def jobs(cluster: Cluster, namespace: str) -> Jobs:
    return Jobs(cluster, namespace)


def test_a_job_whose_pod_ends_well_is_complete(jobs: Jobs, kubelet: Kubelet) -> None:
    jobs.create("hello")
    pod = kubelet.pod("job-name=hello")
    kubelet.play(pod, RUNNING)
    state = jobs.pod(pod)
    assert state["spec"]["nodeName"] == kubelet.node
    started = state["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    kubelet.play(pod, ended(0, "spoken"))
    terminated = jobs.pod(pod)["status"]["containerStatuses"][0]["state"]["terminated"]
    assert terminated["startedAt"] == started
    assert (terminated["exitCode"], terminated["reason"], terminated["message"]) == (0, "Completed", "spoken")
    assert eventually(lambda: jobs.condition("hello")) == "Complete CompletionsReached"


@pytest.mark.parametrize(
    ("end", "exit_code", "reason"), [(ended(3), 3, "Error"), (OOM_KILLED, 137, "OOMKilled")]
)
def test_a_job_whose_pods_end_badly_fails(
    jobs: Jobs, kubelet: Kubelet, end: PodState, exit_code: int, reason: str
) -> None:
    jobs.create("broken", backoffLimit=0)
    pod = kubelet.pod("job-name=broken")
    kubelet.play(pod, RUNNING, end)
    terminated = jobs.pod(pod)["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (exit_code, reason)
    assert eventually(lambda: jobs.condition("broken")) == "Failed BackoffLimitExceeded"


@pytest.mark.slow
def test_a_policy_reads_exit_codes_and_disruptions(jobs: Jobs, kubelet: Kubelet) -> None:
    final = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [64]}}
    free = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    jobs.create("careful", backoffLimit=3, podFailurePolicy={"rules": [final, free]})
    first = kubelet.pod("job-name=careful")
    kubelet.play(first, RUNNING, disrupted("EvictionByEvictionAPI"))
    # The Job controller waits its ten seconds before it replaces a pod, also one that doesn't count.
    second = eventually(lambda: next((name for name in jobs.pods() if name != first), ""), seconds=30)
    assert jobs.failed("careful") == 0
    kubelet.play(second, RUNNING, ended(64))
    assert eventually(lambda: jobs.condition("careful")) == "Failed PodFailurePolicy"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (IMAGE_PULL_BACK_OFF, "ImagePullBackOff"),
        (waiting("CreateContainerConfigError", 'secret "keys" not found'), "CreateContainerConfigError"),
    ],
)
def test_a_pod_may_wait_on_its_node(jobs: Jobs, kubelet: Kubelet, state: PodState, reason: str) -> None:
    jobs.create("waiting")
    pod = kubelet.pod("job-name=waiting")
    kubelet.play(pod, state)
    status = jobs.pod(pod)["status"]
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == reason


def test_an_unschedulable_pod_has_no_node_and_may_get_one_later(jobs: Jobs, kubelet: Kubelet) -> None:
    jobs.create("large")
    pod = kubelet.pod("job-name=large")
    kubelet.play(pod, UNSCHEDULABLE)
    state = jobs.pod(pod)
    assert "nodeName" not in state["spec"]
    assert [(each["type"], each["reason"]) for each in state["status"]["conditions"]] == [
        ("PodScheduled", "Unschedulable")
    ]
    kubelet.play(pod, RUNNING)
    conditions = {each["type"]: each["status"] for each in jobs.pod(pod)["status"]["conditions"]}
    assert conditions["PodScheduled"] == conditions["Ready"] == "True"


def test_a_deleted_pod_ends_as_if_there_were_a_node(jobs: Jobs, kubelet: Kubelet) -> None:
    jobs.create("cancelled")
    kubelet.play(kubelet.pod("job-name=cancelled"), RUNNING)
    jobs.delete("cancelled")
    eventually(lambda: not jobs.pods())


def test_a_pod_of_a_lost_node_hangs_when_it_is_deleted(jobs: Jobs, kubelet: Kubelet) -> None:
    jobs.create("lost")
    pod = kubelet.pod("job-name=lost")
    kubelet.play(pod, RUNNING, NODE_LOST)
    kubelet.stop()
    status = jobs.pod(pod)["status"]
    assert {each["type"]: each["status"] for each in status["conditions"]}["Ready"] == "False"
    assert "running" in status["containerStatuses"][0]["state"]
    jobs.delete("lost")
    assert eventually(lambda: jobs.pod(pod)["metadata"].get("deletionTimestamp"))


@pytest.mark.slow
def test_a_lost_node_is_played_as_the_real_controller_shows_it(cluster_tools: None) -> None:
    quick = ["--node-monitor-period=1s", "--node-monitor-grace-period=6s", "--node-startup-grace-period=5s"]
    flags = {"kube-controller-manager": ["--controllers=*", *quick]}
    with Cluster.start(controllers=True, flags=flags) as cluster, cluster.kubelet("default") as kubelet:
        jobs = Jobs(cluster, "default")
        for name in ("real", "played"):
            jobs.create(name)
        real, played = kubelet.pod("job-name=real"), kubelet.pod("job-name=played")
        kubelet.play(real, RUNNING)
        eventually(lambda: conditions(jobs.pod(real))["Ready"] == "False", seconds=40)
        kubelet.play(played, RUNNING, NODE_LOST)
        assert conditions(jobs.pod(played)) == conditions(jobs.pod(real))
        assert jobs.pod(real)["status"]["containerStatuses"][0]["ready"]


def conditions(pod: dict[str, Any]) -> dict[str, str]:
    """Status and reason of each condition by type."""
    found = pod["status"]["conditions"]
    return {each["type"]: each["status"] + each.get("reason", "") for each in found}


def test_a_script_plays_every_pod_by_itself(cluster: Cluster, namespace: str, jobs: Jobs) -> None:
    with cluster.kubelet(namespace, script=lambda pod: [RUNNING, ended(0, pod["metadata"]["name"])]):
        for number in range(5):
            jobs.create(f"many-{number}")
        for number in range(5):
            assert (
                eventually(lambda name=f"many-{number}": jobs.condition(name))
                == "Complete CompletionsReached"
            )
