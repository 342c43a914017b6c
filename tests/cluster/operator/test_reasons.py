"""Every reason, caused on a real API: told by a condition, by one Event a transition, and by a metric."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from tests.cluster import Cluster
from tests.cluster.operator.causes import COMMON, LINE, NODES, line, processes
from tests.cluster.operator.causes.origins import STAGED, TESTED
from tests.cluster.operator.causes.places import PLACES, prepare
from tests.cluster.operator.causes.stage import Cause, Stage, Staging
from tests.cluster.operator.causes.telling import assert_counted, assert_told
from tests.cluster.operators import CRDS
from tests.cluster.versions import ROOT

from avatar_core.errors import Reason

pytestmark = pytest.mark.cluster
ROOMY = {"sessionsInNamespace": 200, "sessionsInCluster": 400}


@pytest.fixture(scope="module")
def own_cluster(cluster_tools: None) -> Iterator[Cluster]:
    flags = ["--concurrent-job-syncs=20", "--kube-api-qps=500", "--kube-api-burst=1000"]
    managers = {"kube-controller-manager": flags}
    with Cluster.start(controllers=True, manifests=[CRDS], flags=managers) as running:
        yield running


@pytest.fixture(scope="module")
def staging(own_cluster: Cluster) -> Iterator[Staging]:
    with Staging(own_cluster) as building:
        yield building


@pytest.fixture(scope="module")
def stage(
    staging: Staging, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """All causes that were chosen have played on it, side by side."""
    items = [item for item in request.session.items if item.path == request.path]
    asked = [item.callspec.params for item in items if hasattr(item, "callspec")]
    chosen = [params["cause"] for params in asked if "cause" in params]
    built = staging.build(tmp_path_factory.mktemp("world"), PLACES, prepare, **ROOMY)
    built.play(chosen)
    yield built
    assert built.operator.errors == []


@pytest.mark.parametrize(
    "cause",
    [pytest.param(each, id=each.name, marks=[pytest.mark.slow] if each.slow else []) for each in COMMON],
)
def test_a_reason_is_told(stage: Stage, cause: Cause) -> None:
    assert_told(stage, cause)


def test_what_is_over_is_counted_exactly(stage: Stage) -> None:
    assert_counted(stage)


def test_nobody_is_believed_who_claims_what_only_a_cluster_knows(stage: Stage) -> None:
    for _, told in stage.witness.all():
        for message in told.shown("Unknown", Reason.SUSPENDED):
            assert message.startswith("spec.suspend is set")


def test_one_place_for_two(staging: Staging, tmp_path_factory: pytest.TempPathFactory) -> None:
    stage = staging.build(tmp_path_factory.mktemp("line"), **line.PLACES)
    stage.play(LINE)
    for cause in LINE:
        assert_told(stage, cause)
    assert_counted(stage)


def test_no_reason_is_left_out() -> None:
    assert {*STAGED, *TESTED} == set(Reason)
    assert STAGED.keys().isdisjoint(TESTED)
    # A provider says it of itself; its sessions say ProviderNotReady.
    assert {cause.reason for cause in (*COMMON, *LINE, *NODES)} == set(Reason) - {Reason.INSECURE_URL}


@pytest.mark.parametrize("reason", STAGED)
def test_a_staged_cause_brings_about_what_it_is_named_for(reason: Reason) -> None:
    """A pod that merely says a reason is not where the reason comes from."""
    (cause,) = [each for each in (*COMMON, *LINE, *NODES) if each.name == STAGED[reason]]
    assert cause.reason is reason
    assert cause not in processes.CAUSES


@pytest.mark.parametrize("reason", TESTED)
def test_the_test_that_causes_a_reason_is_there_and_names_it(reason: Reason) -> None:
    path, name = TESTED[reason].split("::")
    source = (ROOT / path).read_text()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    (found,) = [n for n in ast.parse(source).body if isinstance(n, functions) and n.name == name]
    first = min(node.lineno for node in (found, *found.decorator_list))
    text = "\n".join(source.splitlines()[first - 1 : found.end_lineno])
    assert f"Reason.{reason.name}" in text or f'"{reason}"' in text


def test_names_are_right() -> None:
    names = [cause.name for cause in (*COMMON, *LINE, *NODES)]
    assert len(names) == len(set(names))
    assert max(map(len, names)) <= 52
