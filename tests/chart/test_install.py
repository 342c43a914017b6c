"""Helm installs, upgrades, rolls back and uninstalls the chart; nobody runs its pods here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chart.charts import NAMESPACE, RELEASE, Json, helm
from tests.cluster import Cluster
from tests.cluster.operators import CHART

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

KINDS = "deployments,services,configmaps,persistentvolumeclaims,serviceaccounts,cronjobs,networkpolicies"
WIDE = "customresourcedefinitions,clusterroles,clusterrolebindings"


@pytest.fixture
def empty(cluster_tools: None) -> Iterator[Cluster]:
    with Cluster.start() as running:
        yield running


def ours(cluster: Cluster, kinds: str) -> set[str]:
    # Definitions carry no labels of the release: without Helm they are the same.
    names = cluster.kubectl("get", kinds, "-n", NAMESPACE, "-o", "name").split()
    return {name for name in names if RELEASE in name or "avatars.dev" in name}


def replicas(cluster: Cluster) -> int:
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}"
    return int(cluster.rest.get(path)["spec"]["replicas"])


def test_a_release_comes_changes_and_goes(
    empty: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where Helm keeps what it has found out
    monkeypatch.setenv("KUBECONFIG", str(empty.kubeconfig()))

    def release(verb: str, *arguments: str, values: Json | None = None) -> str:
        return helm(verb, RELEASE, str(CHART), "--namespace", NAMESPACE, *arguments, values=values)

    told = release("install", "--create-namespace", "--no-hooks")
    assert "kubectl apply -f examples/hello.yaml" in told
    assert len(ours(empty, "deployments")) == 3
    assert len(ours(empty, "customresourcedefinitions")) == 3

    release("upgrade", "--no-hooks", values={"operator": {"replicas": 3}})
    assert replicas(empty) == 3
    history = ("--namespace", NAMESPACE, "--no-hooks")
    helm("rollback", RELEASE, "1", *history)
    assert replicas(empty) == 2

    helm("uninstall", RELEASE, *history)
    assert ours(empty, KINDS) == {f"persistentvolumeclaim/{RELEASE}-store"}
    assert {name.split("/")[0] for name in ours(empty, WIDE)} == {
        "customresourcedefinition.apiextensions.k8s.io"
    }
