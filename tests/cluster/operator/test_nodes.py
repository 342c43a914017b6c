"""Reasons of nodes, with the real scheduler and node lifecycle: nothing is played but the kubelet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster import Cluster
from tests.cluster.operator.causes import NODES
from tests.cluster.operator.causes.nodes import FLAGS
from tests.cluster.operator.causes.stage import Cause, Stage, Staging
from tests.cluster.operator.causes.telling import assert_counted, assert_told
from tests.cluster.operators import CRDS

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def stage(cluster_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    flags = {"kube-controller-manager": FLAGS}
    with (
        Cluster.start(controllers=True, scheduler=True, manifests=[CRDS], flags=flags) as running,
        Staging(running) as staging,
    ):
        stage = staging.build(tmp_path_factory.mktemp("world"), nodes=False)
        stage.play(NODES)
        yield stage
        if stage.heart is not None:
            stage.heart.stop()
        assert stage.operator.errors == []


@pytest.mark.parametrize("cause", NODES, ids=[cause.name for cause in NODES])
def test_a_reason_is_told(stage: Stage, cause: Cause) -> None:
    assert_told(stage, cause)


def test_what_is_over_is_counted_exactly(stage: Stage) -> None:
    assert_counted(stage)
