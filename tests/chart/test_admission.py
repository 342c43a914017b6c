"""A real API server takes every object of the chart, and gives nobody more than the chart says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from tests.chart.charts import MATRIX, RELEASE, Json, render
from tests.cluster import Cluster
from tests.cluster.operators import CRDS

pytestmark = pytest.mark.cluster

FOREIGN = {"monitoring.coreos.com/v1", "keda.sh/v1alpha1"}
"""Kinds of other projects; test_scans.py holds them against their definitions."""


@pytest.fixture(scope="module")
def restricted(cluster: Cluster) -> str:
    """A namespace that takes restricted pods only, and warns of all else."""
    cluster.apply(CRDS)
    name = cluster.create_namespace("release")
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    cluster.rest.patch(f"/api/v1/namespaces/{name}", {"metadata": {"labels": labels}})
    return name


def in_namespace(values: Json, namespace: str, served: str) -> list[Json]:
    given = {**values, "namespaces": [served]} if values.get("namespaces") else values
    return [each for each in render(given, namespace=namespace) if each["apiVersion"] not in FOREIGN]


@pytest.mark.parametrize("name", MATRIX)
def test_everything_is_taken_without_a_warning(
    cluster: Cluster, restricted: str, namespace: str, name: str
) -> None:
    objects = in_namespace(MATRIX[name], restricted, namespace)
    # A bare pod, that of `helm test`, is refused where its account is not really there.
    cluster.apply(yaml.safe_dump_all([each for each in objects if each["kind"] == "ServiceAccount"]))
    text = yaml.safe_dump_all(objects)
    arguments = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors")
    taken = cluster.kubectl(*arguments, "-o", "name", "-f", "-", stdin=text)
    assert f"clusterrole.rbac.authorization.k8s.io/{'faces' if 'elsewhere' in name else RELEASE}\n" in taken


def may(cluster: Cluster, user: str, verb: str, resource: str, namespace: str = "", name: str = "") -> bool:
    group, _, plural = resource.rpartition("/")
    plural, _, sub = plural.partition(":")
    asked = {"verb": verb, "group": group, "resource": plural, "subresource": sub}
    review = cluster.rest.post(
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user,
                "groups": ["system:authenticated"],
                "resourceAttributes": {**asked, "namespace": namespace, "name": name},
            },
        },
    )
    return bool(review["status"]["allowed"])


@pytest.fixture
def bound(cluster: Cluster, restricted: str, namespace: str) -> Iterator[str]:
    """The rights of a release that serves one namespace."""
    viewers = [{"kind": "User", "name": "viewer", "apiGroup": "rbac.authorization.k8s.io"}]
    values = {"namespaces": [namespace], "gateway": {"viewers": viewers}}
    rights = [
        each
        for each in in_namespace(values, restricted, namespace)
        if each["apiVersion"].startswith("rbac.")
        and "helm.sh/hook" not in each["metadata"].get("annotations", {})
    ]
    text = yaml.safe_dump_all(rights)
    cluster.apply(text)
    yield namespace
    cluster.kubectl("delete", "-f", "-", stdin=text)


def test_a_release_for_one_namespace_may_nothing_in_another(
    cluster: Cluster, restricted: str, bound: str
) -> None:
    account = f"system:serviceaccount:{restricted}:{RELEASE}"
    other = cluster.create_namespace("other")
    jobs, sessions = "batch/jobs", "avatars.dev/avatarsessions"
    assert may(cluster, account, "create", jobs, bound)
    assert may(cluster, account, "create", jobs, restricted)
    assert not may(cluster, account, "create", jobs, other)
    assert may(cluster, account, "list", sessions, bound)
    assert not may(cluster, account, "list", sessions, other)
    assert not may(cluster, account, "get", "/secrets", bound)
    assert may(cluster, account, "update", "coordination.k8s.io/leases", restricted, RELEASE)
    for part in ("-gateway", "-inference"):
        assert may(cluster, account + part, "create", "authentication.k8s.io/tokenreviews")
        assert not may(cluster, account + part, "get", "/secrets", restricted)
    assert not may(cluster, f"{account}-cleanup", "get", "/pods", restricted)


def test_viewers_reach_the_gateway_alone(cluster: Cluster, restricted: str, bound: str) -> None:
    proxied = (cluster, "viewer", "get", "/services:proxy", restricted)
    assert may(*proxied, f"http:{RELEASE}-gateway:8082")
    assert not may(*proxied, f"http:{RELEASE}:8081")
    assert not may(*proxied, "")
    assert not may(cluster, "viewer", "create", "/services:proxy", restricted, f"http:{RELEASE}-gateway:8082")
