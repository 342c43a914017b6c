"""What a pod may with its tokens, what the operator may, and what a sweep leaves alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from tests.cluster import eventually
from tests.cluster.operators import CHART, binding
from tests.cluster.pods.conftest import Place
from tests.cluster.pods.providers import hung

from avatar_core.errors import REASONS, Reason

pytestmark = pytest.mark.cluster
OTHER = "99999999-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def token(place: Place) -> str:
    """The gateway token of the running pod of the session `here`, as the pod itself has it."""
    place.llm.handler = hung
    place.apply("here", prompt="Talk.")
    pod = place.first_pod("here")
    assert eventually(lambda: place.llm.requests, seconds=30)  # from now on it waits
    return (pod.folder / "tokens" / "gateway").read_text()


@pytest.fixture(scope="module")
def mine(place: Place, token: str) -> str:
    """Where that pod may write."""
    return f"{place.world.namespace}/{place.world.session('here')['metadata']['uid']}"


def test_a_pod_writes_and_reads_its_own_folder(place: Place, token: str, mine: str) -> None:
    assert place.gateway.ask("PUT", f"{mine}/reply.json", token, b"{}")[0] == 201
    assert place.gateway.ask("GET", f"{mine}/reply.json", token) == (200, b"{}")
    assert place.gateway.ask("DELETE", f"{mine}/reply.json", token)[0] == 204
    assert place.gateway.ask("GET", f"{mine}/reply.json", token)[0] == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_pod_reaches_no_other_folder(place: Place, token: str, mine: str, method: str) -> None:
    namespace, uid = mine.split("/")
    body = b"{}" if method == "PUT" else None
    for folder in (f"{namespace}/{OTHER}", f"other/{uid}", f"{mine}/..", f"{mine}%2f.."):
        assert place.gateway.ask(method, f"{folder}/result.json", token, body)[0] == 403, folder


def test_without_a_token_of_its_audience_nothing_is_given(place: Place, mine: str, token: str) -> None:
    key, pod = f"{mine}/result.json", place.first_pod("here")
    assert place.gateway.ask("GET", key)[0] == 401
    assert place.gateway.ask("GET", key, token[:-4])[0] == 401
    for audience in ("operator", "inference"):
        assert place.gateway.ask("GET", key, (pod.folder / "tokens" / audience).read_text())[0] == 401
    unbound = place.world.cluster.token(
        place.world.namespace, "avatar-session", audience="gateway.avatars.dev"
    )
    assert place.gateway.ask("GET", key, unbound)[0] == 401


def test_a_pod_that_no_job_controls_may_nothing(place: Place, mine: str) -> None:
    world = place.world
    path = f"/api/v1/namespaces/{world.namespace}/pods"
    (real,) = [pod for pod in world.pods() if pod["metadata"]["name"] == place.first_pod("here").name]
    labels = {k: v for k, v in real["metadata"]["labels"].items() if k.startswith("avatars.dev")}
    spec = {
        "serviceAccountName": "avatar-session",
        "containers": [{"name": "session", "image": "example.invalid/absent:1", "command": ["true"]}],
        "nodeName": "nowhere",
    }
    forged = {"metadata": {"name": "forged", "labels": labels}, "spec": spec}
    world.cluster.rest.post(path, {"apiVersion": "v1", "kind": "Pod", **forged})
    token = world.token("forged", "gateway.avatars.dev")
    assert place.gateway.ask("GET", f"{mine}/result.json", token)[0] == 403
    world.cluster.rest.delete(f"{path}/forged", {"gracePeriodSeconds": 0})


def test_a_reader_reads_receipts_of_all_sessions(place: Place, token: str, mine: str) -> None:
    reader = place.world.cluster.token(place.world.release, audience="gateway.avatars.dev", pod="operator")
    assert place.gateway.ask("PUT", f"{mine}/result.json", token, b"{}")[0] == 201
    assert place.gateway.ask("GET", f"{mine}/result.json", reader) == (200, b"{}")
    assert place.gateway.ask("PUT", f"{mine}/result.json", reader, b"x")[0] == 403
    assert place.gateway.ask("GET", f"{mine}/reply.json", reader)[0] == 403
    place.gateway.ask("DELETE", f"{mine}/result.json", token)


def test_the_gateway_asks_for_nothing_it_may_not(place: Place) -> None:
    users = {r.user for r in place.world.cluster.audit_log() if r.user.startswith("gateway-")}
    (user,) = users
    asked = place.world.cluster.audit_log(user)
    assert {r.code for r in asked} <= {200, 201, 404}
    assert {(r.verb, r.resource) for r in asked} == {
        ("create", "tokenreviews"),
        ("get", "pods"),
        ("get", "jobs"),
    }


def test_a_sweep_leaves_living_sessions_and_young_folders_alone(place: Place, token: str, mine: str) -> None:
    cluster, store = place.world.cluster, place.gateway.store
    place.gateway.ask("PUT", f"{mine}/reply.json", token, b"{}")
    orphan = store / place.world.namespace / OTHER
    orphan.mkdir(parents=True)
    (orphan / "video.mp4").write_bytes(b"nobody's")
    cluster.apply(CHART / "files/rbac/sweeper.yaml")
    allowed, refused = (cluster.kubeconfig(name) for name in ("sweeper", "stranger"))
    bound = binding("ClusterRoleBinding", "avatar-sweeper", "sweeper")
    cluster.rest.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", bound)

    def sweep(kubeconfig: object, *options: str) -> int:
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "AVATAR_STORE": str(store)}
        command = [sys.executable, "-m", "avatar_session.sweep", *options]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    assert sweep(refused, "--older-than", "0") == REASONS[Reason.CLUSTER_UNAVAILABLE].exit_code
    assert sweep(allowed) == 0
    assert sweep(allowed, "--older-than", "0", "--dry-run") == 0
    assert (orphan / "video.mp4").exists()
    assert sweep(allowed, "--older-than", "0") == 0
    assert not orphan.exists()
    assert (store / mine / "reply.json").exists()


def test_uploads_under_way_are_finished_when_the_gateway_ends(place: Place, token: str, mine: str) -> None:
    """The last test of this file: the gateway is gone afterwards."""
    host, port = place.gateway.url.removeprefix("http://").split(":")
    body = os.urandom(3_000_000)
    lines = [f"PUT /v1/store/{mine}/reply.json HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + body[:1_000_000])
        unfinished = (place.gateway.store / mine).glob
        assert eventually(lambda: list(unfinished("reply.json#*")), seconds=30)
        place.gateway.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: place.gateway.probe("/readyz")[0] == 503)
        connection.sendall(body[1_000_000:])
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert place.gateway.process.wait(25) == 0
    assert (place.gateway.store / mine / "reply.json").read_bytes() == body
    entries = [json.loads(line) for line in place.gateway.log.read_text().splitlines()]
    assert not any("exception" in entry for entry in entries)
