"""Fixtures for tests that need a real Kubernetes; `tests/conftest.py` gives them to every test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pytest
from tests.cluster.cluster import Cluster
from tests.cluster.kubelet import Kubelet
from tests.cluster.node import NodeCluster, node_problem
from tests.cluster.programs import NODE_RELEASES, RELEASES, Release
from tests.cluster.tools import ToolsError, find_tools


@pytest.fixture(scope="session")
def cluster_tools() -> None:
    """Skips whoever asks if the programs of a cluster are not there; in CI that is a failure.

    For tests that start clusters of their own.
    """
    _find(RELEASES)


@pytest.fixture(scope="session")
def node_tools() -> None:
    """Skips whoever asks if no node can run here, and says why. For tests that start clusters with a node.

    Missing programs are a failure in CI; a machine that gives no root, mounts or namespaces is none.
    """
    if problem := node_problem():
        pytest.skip(problem)
    _find(NODE_RELEASES)


def _find(releases: Sequence[Release]) -> None:
    try:
        find_tools(releases)
    except ToolsError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def node_cluster(node_tools: None) -> Iterator[NodeCluster]:
    """A cluster with a node, shared by all tests of this process."""
    with NodeCluster.start() as running:
        yield running


@pytest.fixture(scope="session")
def cluster(cluster_tools: None) -> Iterator[Cluster]:
    """A cluster with controllers and without a scheduler, shared by all tests of this process."""
    with Cluster.start(controllers=True) as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the shared cluster, of this test alone."""
    name = cluster.create_namespace()
    yield name
    cluster.rest.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def kubelet(cluster: Cluster, namespace: str) -> Iterator[Kubelet]:
    """Plays what happens to the pods of this test's namespace."""
    with cluster.kubelet(namespace) as playing:
        yield playing
