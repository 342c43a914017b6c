"""The NetworkPolicies, read as a network that enforces them would read them; none does here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import pytest
from tests.chart.charts import MATRIX, NAMESPACE, RELEASE, Json, render
from tests.support.fake_operator import SETTINGS

from avatar_operator.cleanup_jobs import CleanupSettings, build_cleanup
from avatar_operator.jobs import component_labels

OURS = {"app.kubernetes.io/name": "avatar-operator", "app.kubernetes.io/instance": RELEASE}
PART = "app.kubernetes.io/component"
TEAM = "team"


@dataclass(frozen=True)
class Pod:
    """Where a pod is and what it is labelled; outside the cluster it has an address alone."""

    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    address: str = "10.244.0.9"


def part(name: str) -> Pod:
    return Pod(NAMESPACE, tuple({**OURS, PART: name}.items()))


def managed(component: str, namespace: str = TEAM) -> Pod:
    labels = {"app.kubernetes.io/managed-by": "avatar-operator", PART: component}
    return Pod(namespace, tuple({**labels, "app.kubernetes.io/name": f"avatar-{component}"}.items()))


OPERATOR, GATEWAY, INFERENCE = map(part, ("operator", "gateway", "inference"))
SESSION, PREPARATION, CLEANUP = managed("session"), managed("prepare"), managed("cleanup", NAMESPACE)
STRANGER = Pod("elsewhere", (("app", "other"),))
API_SERVER, STORE, ALLOWED = (Pod(address=each) for each in ("10.0.0.1", "10.0.3.7", "10.9.1.1"))
INTERNET, PRIVATE, METADATA = (Pod(address=each) for each in ("93.184.216.34", "10.8.0.1", "169.254.169.254"))

TOGETHER = [
    (SESSION, OPERATOR, 8081),
    (SESSION, GATEWAY, 8082),
    (SESSION, INFERENCE, 50051),
    (PREPARATION, INFERENCE, 50051),
    (OPERATOR, OPERATOR, 8081),
    (OPERATOR, GATEWAY, 8082),
    (INFERENCE, GATEWAY, 8082),
    (part("test"), GATEWAY, 8082),
    (STRANGER, GATEWAY, 8082),
    (STRANGER, INFERENCE, 9464),
    (STRANGER, OPERATOR, 8080),
]
APART = [
    (STRANGER, OPERATOR, 8081),
    (STRANGER, INFERENCE, 50051),
    (STRANGER, part("sweeper"), 80),
    (STRANGER, CLEANUP, 80),
    (SESSION, GATEWAY, 22),
]
LET_OUT = [
    (OPERATOR, API_SERVER, 6443),
    (GATEWAY, API_SERVER, 6443),
    (INFERENCE, API_SERVER, 6443),
    (part("make-key"), API_SERVER, 6443),
    (part("sweeper"), API_SERVER, 6443),
    (GATEWAY, STORE, 9000),
    (CLEANUP, STORE, 9000),
    (part("sweeper"), STORE, 9000),
    (INFERENCE, INTERNET, 443),
    (SESSION, INTERNET, 443),
    (SESSION, ALLOWED, 9000),
    (SESSION, PRIVATE, 53),
    (SESSION, PRIVATE, 4317),
]
KEPT_IN = [
    (SESSION, METADATA, 80),
    (SESSION, PRIVATE, 443),
    (SESSION, API_SERVER, 6443),
    (OPERATOR, INTERNET, 443),
    (OPERATOR, STORE, 9000),
    (GATEWAY, INTERNET, 443),
    (INFERENCE, STORE, 9000),
    (CLEANUP, API_SERVER, 6443),
]


class Network:
    """What a set of policies lets through."""

    def __init__(self, objects: list[Json]) -> None:
        self.policies = [each for each in objects if each["kind"] == "NetworkPolicy"]

    def lets(self, source: Pod, target: Pod, port: int) -> bool:
        """Whether a connection is let out here and in there."""
        return self._one(source, target, port, "Egress", "to") and self._one(
            target, source, port, "Ingress", "from"
        )

    def _one(self, pod: Pod, peer: Pod, port: int, direction: str, key: str) -> bool:
        ours = [each["spec"] for each in self._of(pod) if direction in each["spec"]["policyTypes"]]
        rules = [rule for spec in ours for rule in spec.get(direction.lower(), ())]
        return not ours or any(
            _port(rule, port) and (key not in rule or any(_peer(each, peer) for each in rule[key]))
            for rule in rules
        )

    def _of(self, pod: Pod) -> Iterator[Json]:
        for each in self.policies:
            if each["metadata"]["namespace"] == pod.namespace and _selects(
                each["spec"]["podSelector"], dict(pod.labels)
            ):
                yield each


def _port(rule: Json, port: int) -> bool:
    return "ports" not in rule or port in [each["port"] for each in rule["ports"]]


def _peer(peer: Json, pod: Pod) -> bool:
    if block := peer.get("ipBlock"):
        address = ip_address(pod.address)
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(each) for each in block.get("except", ())
        )
    if not pod.namespace:
        return False
    namespace = {"kubernetes.io/metadata.name": pod.namespace}
    if "namespaceSelector" not in peer and pod.namespace != NAMESPACE:
        return False
    return _selects(peer.get("namespaceSelector", {}), namespace) and _selects(
        peer.get("podSelector", {}), dict(pod.labels)
    )


def _selects(selector: Json, labels: dict[str, str]) -> bool:
    exact = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in exact.items()) and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ())
    )


@pytest.fixture(scope="module")
def entering() -> Network:
    """With no values: only who may come in is said."""
    return Network(render())


@pytest.fixture(scope="module")
def closed() -> Network:
    return Network(render(MATRIX["closed"]))


@pytest.mark.parametrize("policies", ["entering", "closed"])
@pytest.mark.parametrize(("source", "target", "port"), TOGETHER)
def test_what_works_together_is_let_through(
    request: pytest.FixtureRequest, policies: str, source: Pod, target: Pod, port: int
) -> None:
    assert request.getfixturevalue(policies).lets(source, target, port)


@pytest.mark.parametrize("policies", ["entering", "closed"])
@pytest.mark.parametrize(("source", "target", "port"), APART)
def test_nobody_else_is(
    request: pytest.FixtureRequest, policies: str, source: Pod, target: Pod, port: int
) -> None:
    assert not request.getfixturevalue(policies).lets(source, target, port)


@pytest.mark.parametrize(("source", "target", "port"), LET_OUT)
def test_pods_get_out_where_they_must(closed: Network, source: Pod, target: Pod, port: int) -> None:
    assert closed.lets(source, target, port)


@pytest.mark.parametrize(("source", "target", "port"), KEPT_IN)
def test_and_nowhere_else(entering: Network, closed: Network, source: Pod, target: Pod, port: int) -> None:
    assert not closed.lets(source, target, port)
    assert entering.lets(source, target, port)


def test_labels_are_those_that_pods_have() -> None:
    """The pods above are labelled as those that chart and operator make."""
    templates = [each["spec"]["template"] for each in render() if each["kind"] in {"Deployment", "Job"}]
    for pod in (OPERATOR, GATEWAY, INFERENCE, part("make-key"), part("retire")):
        assert any(dict(pod.labels).items() <= each["metadata"]["labels"].items() for each in templates), pod
    job = build_cleanup("c", [], CleanupSettings(NAMESPACE, "image"))
    assert dict(CLEANUP.labels).items() <= job["spec"]["template"]["metadata"]["labels"].items()
    session = component_labels("session", "hello", SETTINGS)
    assert dict(SESSION.labels).items() <= session.items()
