"""A real node: what runs on it, what its pods reach, what it survives."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import KubectlError, eventually
from tests.cluster.node import TOOLBOX, NodeCluster, NodeError, write_image
from tests.cluster.programs import NODE_RELEASES
from tests.cluster.tools import find_tools

pytestmark = [pytest.mark.cluster, pytest.mark.node, pytest.mark.slow]
Json = dict[str, Any]
PODS, JOBS = "/api/v1/namespaces/{}/pods", "/apis/batch/v1/namespaces/{}/jobs"
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CLOSED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod(name: str, *command: str, **spec: Any) -> Json:
    container = {"name": "main", "image": TOOLBOX, "args": list(command), "securityContext": CLOSED}
    container |= spec.pop("container", {})
    security = {**RESTRICTED, **spec.pop("securityContext", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "restartPolicy": "Never", "securityContext": security, **spec},
    }


def phase(node: NodeCluster, namespace: str, name: str) -> str:
    return str(node.rest.get(f"{PODS.format(namespace)}/{name}")["status"].get("phase"))


@pytest.fixture(scope="module")
def node(node_tools: None) -> Iterator[NodeCluster]:
    """Of this file alone: it is broken."""
    with NodeCluster.start() as running:
        yield running


@pytest.fixture
def room(node: NodeCluster) -> str:
    """A namespace that admits restricted pods alone."""
    name = node.create_namespace()
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    node.rest.patch(f"/api/v1/namespaces/{name}", {"metadata": {"labels": level}})
    return name


@pytest.fixture
def server(node: NodeCluster, room: str) -> str:
    """A pod that answers, and a Service before it."""
    node.rest.post(PODS.format(room), pod("server", "serve", ":8082", "good day"))
    spec = {"selector": {"app": "server"}, "ports": [{"name": "http", "port": 8082}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server"}, "spec": spec}
    node.rest.post(f"/api/v1/namespaces/{room}/services", service)
    eventually(lambda: phase(node, room, "server") == "Running")
    return "server"


def succeed(node: NodeCluster, room: str, made: Json) -> str:
    """Runs a pod to its end; returns what it said."""
    name = made["metadata"]["name"]
    node.rest.post(PODS.format(room), made)
    ended = eventually(lambda: (p := phase(node, room, name)) in ("Succeeded", "Failed") and p, seconds=60)
    said = node.kubectl("logs", name, "-n", room)
    assert ended == "Succeeded", said
    return said


def test_a_restricted_job_is_complete(node: NodeCluster, room: str) -> None:
    template = {key: pod("hello", "say", "hello")[key] for key in ("metadata", "spec")}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "hello"}}
    node.rest.post(JOBS.format(room), {**job, "spec": {"template": template}})
    eventually(lambda: node.rest.get(f"{JOBS.format(room)}/hello")["status"].get("succeeded") == 1)
    assert node.kubectl("logs", "job/hello", "-n", room) == "hello\n"


def test_a_pod_is_what_its_security_context_says(node: NodeCluster, room: str) -> None:
    status = succeed(node, room, pod("who", "read", "/proc/self/status")).splitlines()
    told = {name: value.split() for name, _, value in (line.partition(":") for line in status)}
    assert told["Uid"] == ["65532"] * 4
    assert (told["NoNewPrivs"], told["Seccomp"], told["CapEff"]) == (["1"], ["2"], ["0" * 16])


def test_a_service_is_reached_by_its_name(node: NodeCluster, room: str, server: str) -> None:
    for host in (server, f"{server}.{room}.svc", f"{server}.{room}.svc.cluster.local"):
        name = f"ask-{host.count('.')}"
        ask = pod(name, "get", f"http://{host}:8082/", restartPolicy="OnFailure")
        assert "200 good day" in succeed(node, room, ask)


def test_a_name_outside_the_cluster_is_known_not_to_be(node: NodeCluster, room: str) -> None:
    node.rest.post(PODS.format(room), pod("lost", "get", "http://elsewhere.example/"))
    eventually(lambda: phase(node, room, "lost") == "Failed")
    assert "no such host" in node.kubectl("logs", "lost", "-n", room)


def test_the_api_server_is_reached_by_its_service(node: NodeCluster, room: str) -> None:
    said = pod(
        "api",
        "get",
        "https://kubernetes.default.svc/version",
        container={
            "env": [
                {"name": "SSL_CERT_FILE", "value": "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"}
            ]
        },
    )
    assert "v1.36." in succeed(node, room, said)


def test_the_api_server_is_a_way_to_a_service(node: NodeCluster, room: str, server: str) -> None:
    path = f"/api/v1/namespaces/{room}/services/http:{server}:8082/proxy/"
    assert eventually(lambda: node.kubectl("get", "--raw", path)) == "good day"


def test_a_command_runs_in_a_pod(node: NodeCluster, room: str, server: str) -> None:
    assert node.kubectl("exec", server, "-n", room, "--", "/toolbox", "say", "from within") == "from within\n"
    with pytest.raises(KubectlError, match="exit code 1"):
        node.kubectl("exec", server, "-n", room, "--", "/toolbox", "read", "/absent")


def test_an_image_of_an_archive_runs(node: NodeCluster, room: str, tmp_path: Path) -> None:
    program = find_tools(NODE_RELEASES)["toolbox"]
    write_image(tmp_path / "image.tar", "localhost/mine:1", {"/bin/mine": program}, ["/bin/mine", "say"])
    assert node.load_image(tmp_path / "image.tar") == ["localhost/mine:1"]
    image = {"image": "localhost/mine:1", "imagePullPolicy": "Never"}
    assert succeed(node, room, pod("mine", "its own words", container=image)) == "its own words\n"
    (tmp_path / "broken.tar").write_bytes(b"no archive")
    with pytest.raises(NodeError, match="ctr images import"):
        node.load_image(tmp_path / "broken.tar")


def test_a_pod_reaches_what_this_machine_serves_at_the_clusters_address(node: NodeCluster, room: str) -> None:
    with socket.create_server((node.address, 0)) as listening:
        listening.settimeout(20)
        url = f"http://{node.address}:{listening.getsockname()[1]}/asked"
        node.rest.post(PODS.format(room), pod("asks", "get", url))
        connection, (caller, _) = listening.accept()
        with connection:
            assert connection.recv(1000).startswith(b"GET /asked")
    assert IPv4Address(caller) in node.machine.network.pods, "not hidden behind the node's address"


def test_a_claim_is_bound_and_keeps_what_pods_leave(node: NodeCluster, room: str) -> None:
    claims = f"/api/v1/namespaces/{room}/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"}, "spec": spec}
    bound = node.rest.post(claims, claim)["metadata"]["uid"]
    volumes = [{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}]
    mounted = {
        "container": {"volumeMounts": [{"name": "kept", "mountPath": "/kept"}]},
        "volumes": volumes,
        "securityContext": {"fsGroup": 65532},
    }
    succeed(node, room, pod("writer", "write", "/kept/file", "still here", **dict(mounted)))
    assert succeed(node, room, pod("reader", "read", "/kept/file", **dict(mounted))) == "still here"
    for name in ("writer", "reader"):
        node.rest.delete(f"{PODS.format(room)}/{name}")
    node.rest.delete(f"{claims}/kept")
    eventually(lambda: bound not in str(node.rest.get("/api/v1/persistentvolumes")))


@pytest.mark.parametrize("name", ["containerd", "kubelet", "kube-proxy", "coredns", "kube-apiserver"])
def test_what_is_killed_comes_back_and_pods_live_on(
    node: NodeCluster, room: str, server: str, name: str
) -> None:
    before = node.rest.get(f"{PODS.format(room)}/{server}")["status"]["containerStatuses"][0]
    node.kill(name)
    time.sleep(0.5)
    node.restart(name)
    ask = pod("after", "get", f"http://{server}:8082/", restartPolicy="OnFailure")
    assert "200 good day" in succeed(node, room, ask)
    after = node.rest.get(f"{PODS.format(room)}/{server}")["status"]["containerStatuses"][0]
    assert after["containerID"] == before["containerID"]
    assert after["restartCount"] == 0


def test_two_nodes_side_by_side_know_nothing_of_each_other(node: NodeCluster, room: str, server: str) -> None:
    with NodeCluster.start() as other:
        assert other.machine.network != node.machine.network
        namespace = other.create_namespace()
        other.rest.post(PODS.format(namespace), pod("lost", "get", f"http://{server}.{room}.svc:8082/"))
        eventually(lambda: phase(other, namespace, "lost") == "Failed")
    ask = pod("ask", "get", f"http://{server}:8082/", restartPolicy="OnFailure")
    assert "200 good day" in succeed(node, room, ask)
