"""What tests of the operator's process ask for: a cluster with its CRDs, and a namespace to work in.

Files whose tests share one operator are in `together/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import Cluster, Kubelet
from tests.cluster.operators import CRDS, World, a_world


@pytest.fixture(scope="module")
def own_cluster(cluster_tools: None) -> Iterator[Cluster]:
    """A cluster of this file's own, for what is done to it."""
    with Cluster.start(controllers=True, manifests=[CRDS]) as running:
        yield running


@pytest.fixture
def world(own_cluster: Cluster, tmp_path: Path) -> Iterator[World]:
    """A namespace with all that sessions need, of this test alone."""
    with a_world(own_cluster, tmp_path) as made:
        yield made


@pytest.fixture
def kubelet(world: World) -> Iterator[Kubelet]:
    """Plays what happens to the pods of that namespace."""
    with world.cluster.kubelet(world.namespace) as playing:
        yield playing
