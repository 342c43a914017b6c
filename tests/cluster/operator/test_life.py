"""A real operator process, with its role's rights only, leads sessions to their ends on a real API."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.cluster import RUNNING, Kubelet, ended, eventually
from tests.cluster.operators import Replica, World

pytestmark = pytest.mark.cluster


@pytest.fixture
def operator(world: World) -> Iterator[Replica]:
    world.bind("ClusterRoleBinding", "avatar-operator")
    replica = world.start(namespaces=[])  # all
    yield replica
    assert replica.errors == []


def test_a_session_becomes_a_video(world: World, operator: Replica, kubelet: Kubelet) -> None:
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    session = world.session()
    assert session["metadata"]["finalizers"] == ["avatars.dev/store"]
    [job] = world.jobs()
    assert job["metadata"]["ownerReferences"][0]["uid"] == session["metadata"]["uid"]

    kubelet.play(pod, RUNNING)
    status = world.until("Unknown", "Running")
    assert status["jobName"] == job["metadata"]["name"]
    token = world.token(pod)
    news = {"stage": "render", "done": 12, "total": 36, "percent": 33}
    assert operator.post("progress", token, news) == (202, "")
    assert eventually(lambda: world.status().get("progress")) == {
        "done": 12,
        "total": 36,
        "percent": 33,
    }
    assert operator.post("result", token, world.receipt()) == (202, "")
    status = world.until("True", "Succeeded")
    assert status["phase"] == "Succeeded"
    assert status["reply"] == "Hello."
    assert (status["video"]["frames"], status["video"]["sha256"]) == (36, "ab" * 32)
    assert status["video"]["url"].startswith("https://videos.example/v/1.")
    assert f"/{world.namespace}/{session['metadata']['uid']}/" in status["video"]["url"]
    assert world.condition(kind="VideoAvailable") == ("True", "Published")
    kubelet.play(pod, ended(0))
    assert eventually(lambda: operator.metric('avatar_sessions_finished_total{reason="Succeeded"}')) == 1
    assert [reason for _, reason in world.events()][-1] == "Succeeded"


def test_suspended_work_is_gone_and_goes_on_as_another_attempt(
    world: World, operator: Replica, kubelet: Kubelet
) -> None:
    world.apply()
    kubelet.play(kubelet.pod("avatars.dev/session=hello"), RUNNING)
    world.until("Unknown", "Running")
    world.change(suspend=True)
    status = world.until("Unknown", "Suspended")
    assert eventually(lambda: not world.pods() and not world.jobs())
    assert status["phase"] == "Suspended"
    world.change(suspend=False)
    kubelet.play(kubelet.pod("avatars.dev/attempt=2"), RUNNING)
    assert world.until("Unknown", "Running")["attempt"] == 2


def test_cancelled(world: World, operator: Replica, kubelet: Kubelet) -> None:
    world.apply()
    kubelet.play(kubelet.pod("avatars.dev/session=hello"), RUNNING)
    world.until("Unknown", "Running")
    world.change(cancel=True)
    assert world.until("False", "Cancelled")["phase"] == "Cancelled"
    assert eventually(lambda: not world.pods() and not world.jobs())


def test_deleted_sessions_go_once_their_folder_is_empty(
    world: World, operator: Replica, kubelet: Kubelet
) -> None:
    uid = world.apply()["metadata"]["uid"]
    kubelet.play(kubelet.pod("avatars.dev/session=hello"), RUNNING)
    world.until("Unknown", "Running")
    world.delete()
    with world.cluster.kubelet(world.release) as release:
        pod = release.pod("app.kubernetes.io/component=cleanup")
        assert not world.jobs() and not world.pods()
        assert world.session()["metadata"]["finalizers"] == ["avatars.dev/store"]
        [job] = world.jobs(release=True)
        assert uid in job["spec"]["template"]["metadata"]["annotations"]["avatars.dev/folders"]
        assert "ownerReferences" not in job["metadata"]
        release.play(pod, RUNNING, ended(0))
        assert eventually(lambda: not world.session())


def test_an_operator_that_dies_loses_nothing(world: World, operator: Replica, kubelet: Kubelet) -> None:
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    operator.end(9)
    kubelet.play(pod, RUNNING)
    second = world.start(namespaces=[])
    world.until("Unknown", "Running")
    assert second.post("result", world.token(pod), world.receipt())[0] == 202
    world.until("True", "Succeeded")
    assert second.end() == 0
    assert second.errors == []
    assert len(world.jobs()) == 1


def test_a_result_in_the_termination_message(world: World, operator: Replica, kubelet: Kubelet) -> None:
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    message = json.dumps({"result": world.receipt()}, separators=(",", ":"))
    assert len(message) <= 4096
    kubelet.play(pod, RUNNING, ended(0, message))
    assert world.until("True", "Succeeded")["video"]["frames"] == 36


@pytest.mark.slow
def test_a_video_expires_and_its_session_goes(world: World, operator: Replica, kubelet: Kubelet) -> None:
    with world.cluster.kubelet(world.release, lambda _: (RUNNING, ended(0))):
        world.apply(videoTTLSeconds=5, ttlSecondsAfterFinished=40)
        pod = kubelet.pod("avatars.dev/session=hello")
        kubelet.play(pod, RUNNING)
        assert operator.post("result", world.token(pod), world.receipt())[0] == 202
        world.until("True", "Succeeded")
        kubelet.play(pod, ended(0))
        world.until("False", "VideoExpired", kind="VideoAvailable", seconds=30)
        assert eventually(lambda: not world.session(), seconds=90)
        assert not world.jobs()
