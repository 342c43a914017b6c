"""Every part killed while sessions are under way: each ends with a video, once."""

from __future__ import annotations

import time

import pytest
from tests.cluster.node import NodeCluster
from tests.e2e.installation import NAMESPACE, RELEASE, Installation

pytestmark = pytest.mark.e2e

TEXT = "This is one of several faces that talk at once, while parts of the whole are taken away. " * 2
PARTS = ("inference", "gateway", "operator")
SERVERS = ("kubelet", "containerd", "kube-apiserver")


@pytest.fixture(scope="module")
def place(installed: Installation) -> str:
    return installed.namespace("crowd")


def apply_some(installed: Installation, place: str, prefix: str, number: int = 4) -> list[str]:
    names = [f"{prefix}-{each}" for each in range(number)]
    for name in names:
        installed.session(place, name, text=TEXT, timeoutSeconds=300, startTimeoutSeconds=300)
    time.sleep(2)
    return names


def assert_all_end(installed: Installation, place: str, names: list[str]) -> None:
    for name in names:
        status = installed.until(place, name, "True", "Succeeded", seconds=240)
        assert len(installed.fetch(status["video"]["url"])) == status["video"]["bytes"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_killed(installed: Installation, place: str, part: str) -> None:
    names = apply_some(installed, place, f"without-{part}")
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={part}"
    installed.shell.kubectl(
        "delete", "pods", "-n", NAMESPACE, "-l", selector, "--grace-period=0", "--force", "--wait=false"
    )
    assert_all_end(installed, place, names)


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_of_the_cluster_is_killed(
    installed: Installation, node: NodeCluster, place: str, server: str
) -> None:
    names = apply_some(installed, place, f"without-{server.replace('kube-', '')}")
    node.restart(server)
    assert_all_end(installed, place, names)


def test_a_sessions_own_pod_is_killed(installed: Installation, place: str) -> None:
    names = apply_some(installed, place, "without-itself")
    installed.shell.kubectl(
        "delete",
        "pods",
        "-n",
        place,
        "-l",
        f"avatars.dev/session={names[0]}",
        "--grace-period=0",
        "--force",
        "--wait=false",
    )
    assert_all_end(installed, place, names)
