"""The operator is upgraded and rolled back while sessions are in every state."""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cluster import RUNNING, Cluster, Kubelet, ended, eventually
from tests.cluster.operators import CRDS, RBAC, Json, Replica, World, a_world
from tests.cluster.sessions import jobs_made
from tests.cluster.versions import NoHistoryError, check_out

from avatar_operator.configuration import read_configuration

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
PREVIOUS = Path(__file__).with_name("previous_version.txt").read_text().strip()
PLACES = 2


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the version before this one."""
    try:
        return check_out(PREVIOUS, tmp_path_factory.mktemp("previous"))
    except NoHistoryError as error:
        if os.environ.get("CI"):
            pytest.fail(f"fetch the whole history: {error}")
        warnings.warn(f"upgrades are not tested: {error}", stacklevel=1)
        pytest.skip(f"the previous version can't be run: {error}")


@pytest.fixture
def old_world(previous: Path, cluster_tools: None, tmp_path: Path) -> Iterator[World]:
    """A cluster as the previous version has set it up."""
    with (
        Cluster.start(controllers=True, manifests=[previous / "charts/avatar-operator/crds"]) as cluster,
        a_world(cluster, tmp_path) as world,
    ):
        cluster.apply(previous / "charts/avatar-operator/rbac/operator.yaml")
        yield world


def in_every_state(world: World, operator: Replica, kubelet: Kubelet) -> None:
    """Sessions that have been made, run, start, wait, are suspended, and are being deleted."""
    for name in ("done", "leaving"):
        world.apply(name)
        pod = kubelet.pod(f"avatars.dev/session={name}")
        kubelet.play(pod, RUNNING)
        world.until("Unknown", "Running", name)
        if name == "done":
            assert operator.post("result", world.token(pod), world.receipt(name))[0] == 202
            world.until("True", "Succeeded", name)
            kubelet.play(pod, ended(0))
        else:
            world.delete(name)
    eventually(lambda: world.jobs(release=True))
    world.apply("suspended", suspend=True)
    world.until("Unknown", "Suspended", "suspended")
    for name in ("running", "starting", "waiting"):
        world.apply(name)
        if name == "running":
            kubelet.play(kubelet.pod("avatars.dev/session=running"), RUNNING)
            world.until("Unknown", "Running", name)
    world.until("Unknown", "Starting", "starting")
    world.until("Unknown", "WaitingForCapacity", "waiting")
    eventually(lambda: world.status("waiting").get("queuePosition") == 1)
    time.sleep(2)


def told(world: World) -> dict[str, Json]:
    """What is said of each session; without what a version may have added to it."""
    kept = ("phase", "attempt", "jobName", "queuePosition", "startedAt", "completedAt")
    return {
        name: {key: value for key, value in session.get("status", {}).items() if key in kept}
        for name, session in world.listed().items()
    }


def replaced(world: World, old: Replica, tree: Path | None = None) -> Replica:
    """Another version beside the one that leads, which then ends; nothing may change by that."""
    before, jobs, begin = told(world), {job["metadata"]["uid"] for job in world.jobs()}, datetime.now(UTC)
    new = world.start(sessionsInNamespace=PLACES, **({"tree": tree} if tree else {}))
    assert not new.leads()
    assert old.end() == 0
    assert eventually(new.leads)
    time.sleep(3)
    assert told(world) == before
    assert {job["metadata"]["uid"] for job in world.jobs()} == jobs
    asked = world.cluster.audit_log(world.user, since=begin)
    writes = [request for request in asked if request.writes and request.resource != "leases"]
    assert max(Counter(request.name for request in writes).values(), default=0) <= 1, writes
    assert len(writes) <= len(before), writes
    assert old.errors == new.errors == []
    return new


def test_sessions_outlive_an_upgrade_and_a_rollback(old_world: World, previous: Path) -> None:
    world = old_world
    first = world.start(tree=previous, sessionsInNamespace=PLACES)
    with world.cluster.kubelet(world.namespace) as kubelet:
        in_every_state(world, first, kubelet)
        uids = {name: session["metadata"]["uid"] for name, session in world.listed().items()}
        read_configuration(world.folder / "config-0.yaml")  # what ran the previous version runs this one

        world.cluster.apply(RBAC)
        world.cluster.apply(CRDS)
        second = replaced(world, first)
        pod = kubelet.pod("avatars.dev/session=running")
        assert second.post("result", world.token(pod), world.receipt("running"))[0] == 202
        world.until("True", "Succeeded", "running")
        kubelet.play(pod, ended(0))
        waited = kubelet.pod("avatars.dev/session=waiting")

        third = replaced(world, second, previous)
        kubelet.play(waited, RUNNING)
        starting = kubelet.pod("avatars.dev/session=starting")
        kubelet.play(starting, RUNNING)
        for name, pod in (("waiting", waited), ("starting", starting)):
            world.until("Unknown", "Running", name)
            assert third.post("result", world.token(pod), world.receipt(name))[0] == 202
            world.until("True", "Succeeded", name)
            kubelet.play(pod, ended(0))
        world.change("suspended", suspend=False)
        pod = kubelet.pod("avatars.dev/session=suspended")
        kubelet.play(pod, RUNNING)
        assert third.post("result", world.token(pod), world.receipt("suspended"))[0] == 202
        world.until("True", "Succeeded", "suspended")
        with world.cluster.kubelet(world.release, lambda _: [RUNNING, ended(0)]):
            eventually(lambda: not world.session("leaving"))

    names = {"done", "running", "starting", "waiting", "suspended"}
    sessions = world.listed()
    assert {name: session["metadata"]["uid"] for name, session in sessions.items()} == {
        name: uids[name] for name in names
    }
    assert all(session["status"]["attempt"] == 1 for session in sessions.values())
    assert sorted(jobs_made(world).values()) == [1] * (len(names) + 1)
    assert len(world.jobs(release=True)) == 1
    assert third.errors == []
