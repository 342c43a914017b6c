"""`avatar logs`: readable lines of a real pod object, through the API server from a stand-in kubelet."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest
from tests.cluster import RUNNING, Cluster, ended, waiting
from tests.cluster.cli.conftest import Place, condition, made, running
from tests.cluster.pod_states import PodState
from tests.cluster.rest import STRATEGIC_PATCH
from tests.support.stand_in_kubelet import StandInKubelet

pytestmark = pytest.mark.cluster
NODE = "node-of-logs"


def entry(message: str, **more: object) -> str:
    known = {"time": "2026-01-02T10:11:12.345+00:00", "level": "info", "logger": "avatar_session.pipeline"}
    return json.dumps({**known, "message": message, "session": "team/hello", **more})


@pytest.fixture(scope="module")
def kubelet(api: Cluster) -> Iterator[StandInKubelet]:
    with StandInKubelet(api.folder / "server.crt", api.folder / "server.key") as serving:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        api.rest.post("/api/v1/nodes", node)
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": serving.port}},
        }
        api.rest.patch(f"/api/v1/nodes/{NODE}/status", {"status": status}, STRATEGIC_PATCH)
        yield serving


def pod(place: Place, name: str, state: PodState) -> None:
    """A pod of the session `hello` on the node."""
    path = f"/api/v1/namespaces/{place.namespace}/pods"
    uid = place.session()["metadata"]["uid"]
    spec = {
        "containers": [{"name": "session", "image": "example.invalid/session:1"}],
        "automountServiceAccountToken": False,
        "nodeName": NODE,
    }
    metadata = {"name": name, "labels": {"avatars.dev/session-uid": uid}}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    play(place, place.cluster.rest.post(path, body), state)


def play(place: Place, there: dict[str, object], state: PodState) -> None:
    metadata = there["metadata"]
    assert isinstance(metadata, dict)
    path = f"/api/v1/namespaces/{place.namespace}/pods/{metadata['name']}/status"
    status = state.status(there, "2026-01-02T10:11:12Z")
    place.cluster.rest.patch(path, {"status": status}, STRATEGIC_PATCH)


@pytest.fixture
def account(place: Place) -> None:
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    place.cluster.rest.post(f"/api/v1/namespaces/{place.namespace}/serviceaccounts", body)


def test_lines_are_readable_and_raw_ones_as_they_were(
    place: Place, kubelet: StandInKubelet, account: None
) -> None:
    place.apply(status=running("render", 10, 4, 36))
    pod(place, f"{place.namespace}-a", RUNNING)
    trace = "Traceback (most recent call last):\n  File x\nValueError: no"
    lines = [
        entry("the reply is written", tokens=42, seconds=1.23456),
        entry("it broke", level="error", exception=trace),
        "no JSON at all \x1b[2J",
    ]
    kubelet.logs[f"{place.namespace}-a"] = lines
    code, out, err = place.run("logs", "hello")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "10:11:12 INFO    the reply is written tokens=42 seconds=1.23",
        "10:11:12 ERROR   it broke",
        "    Traceback (most recent call last):",
        "      File x",
        "    ValueError: no",
        "no JSON at all \\x1b[2J",
    ]
    assert place.run("logs", "hello", "--raw")[1].splitlines() == lines


def test_following_goes_from_pod_to_pod_until_the_end(
    place: Place, kubelet: StandInKubelet, account: None
) -> None:
    place.apply()
    following = place.start("logs", "hello", "-f")
    following.until("waiting for the operator to take it up")
    first, second = f"{place.namespace}-a", f"{place.namespace}-b"
    kubelet.logs[first] = [entry("first pod")]
    pod(place, first, RUNNING)
    place.write(running("render", 10, 4, 36))
    following.until("first pod")
    kubelet.logs[first].append(entry("and more"))
    following.until("and more")
    kubelet.over.add(first)
    kubelet.logs[second] = [entry("second pod")]
    place.cluster.rest.delete(f"/api/v1/namespaces/{place.namespace}/pods/{first}", {"gracePeriodSeconds": 0})
    pod(place, second, RUNNING)
    following.until("second pod")
    place.write(made("http://videos.example/v/1.2.x/team/uid/"))
    kubelet.over.add(second)
    assert following.end() == 0
    assert [line.split()[-2:] for line in following.out] == [
        ["first", "pod"],
        ["and", "more"],
        ["second", "pod"],
    ]


def test_ctrl_c(place: Place, kubelet: StandInKubelet, account: None) -> None:
    place.apply(status=running("render", 10, 4, 36))
    kubelet.logs[f"{place.namespace}-a"] = [entry("on and on")]
    pod(place, f"{place.namespace}-a", RUNNING)
    following = place.start("logs", "hello", "-f")
    following.until("on and on")
    assert following.end(signal.SIGINT) == 130


def test_pods_that_are_gone_or_not_there_yet(place: Place, kubelet: StandInKubelet, account: None) -> None:
    place.apply(status=made("http://videos.example/v/1.2.x/team/uid/"))
    for arguments in (["logs", "hello"], ["logs", "hello", "-f"]):
        code, out, err = place.run(*arguments)
        assert (code, out) == (26, "")
        assert "the pod is gone, and its log with it" in err
    quota = condition("Succeeded", "Unknown", "QuotaExceeded", "exceeded quota: pods")
    place.write({"phase": "Starting", "conditions": [quota]})
    assert "there is no pod yet: QuotaExceeded: exceeded quota: pods" in place.run("logs", "hello")[2]
    pod(place, f"{place.namespace}-a", waiting("ImagePullBackOff", "no such image"))
    code, _, err = place.run("logs", "hello")
    assert code == 26
    assert "no log yet" in err and "waiting: ImagePullBackOff" in err


def test_a_pod_that_has_ended_still_has_its_log(place: Place, kubelet: StandInKubelet, account: None) -> None:
    place.apply(status=made("http://videos.example/v/1.2.x/team/uid/"))
    kubelet.logs[f"{place.namespace}-a"] = [entry("done")]
    kubelet.over.add(f"{place.namespace}-a")
    pod(place, f"{place.namespace}-a", ended(0))
    for arguments in (["logs", "hello"], ["logs", "hello", "-f"]):
        code, out, _ = place.run(*arguments)
        assert code == 0
        assert out.endswith("done\n")
