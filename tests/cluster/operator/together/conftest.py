"""For files whose tests share one operator, its namespace and its pods."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster import Cluster, Kubelet
from tests.cluster.operators import Replica, World, a_world


@pytest.fixture(scope="module")
def world(own_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A namespace with all that sessions need, of this file."""
    with a_world(own_cluster, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def operator(world: World) -> Iterator[Replica]:
    """It runs while the file's tests do, and has logged no error when they are over."""
    replica = world.start()
    yield replica
    assert replica.errors == []


@pytest.fixture(scope="module")
def kubelet(world: World) -> Iterator[Kubelet]:
    """Plays what happens to the pods of that namespace."""
    with world.cluster.kubelet(world.namespace) as playing:
        yield playing
