"""`avatar cancel` and `avatar retry`, with a real operator that answers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import RUNNING, Cluster, Kubelet, ended, eventually
from tests.cluster.cli.conftest import Place, failed, made, running
from tests.cluster.operators import CRDS, World, a_world

from avatar_core.errors import REASONS, Reason

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def led(cluster_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A namespace that an operator looks after."""
    with (
        Cluster.start(controllers=True, manifests=[CRDS]) as cluster,
        a_world(cluster, tmp_path_factory.mktemp("led")) as world,
    ):
        replica = world.start()
        yield world
        assert replica.errors == []


@pytest.fixture(scope="module")
def kubelet(led: World) -> Iterator[Kubelet]:
    with led.cluster.kubelet(led.namespace) as playing:
        yield playing


@pytest.fixture
def there(led: World, tmp_path: Path) -> Place:
    return Place(led.cluster, led.namespace, tmp_path)


def test_a_running_session_is_cancelled(led: World, kubelet: Kubelet, there: Place) -> None:
    led.apply("one")
    kubelet.play(kubelet.pod("avatars.dev/session=one"), RUNNING)
    led.until("Unknown", "Running", "one")
    code, out, _ = there.run("cancel", "one")
    assert (code, out) == (0, "one has ended: Cancelled.\n")
    assert led.session("one")["spec"]["cancel"] is True
    assert there.run("cancel", "one")[:2] == (0, "one had ended already: Cancelled. Nothing was changed.\n")
    code, _, err = there.run("retry", "one")
    assert code == 26
    assert "cancelled, which is for good; apply a new one" in err
    assert there.run("watch", "one")[0] == 130


def test_a_failed_session_gets_another_attempt(led: World, kubelet: Kubelet, there: Place) -> None:
    led.apply("two")
    pod = kubelet.pod("avatars.dev/session=two")
    code, _, err = there.run("retry", "two")
    assert code == 26
    assert "has not failed: attempt 1 is under way; watch it, or cancel it" in err
    kubelet.play(pod, RUNNING, ended(14, '{"reason": "LLMUnauthorized", "message": "401"}'))
    led.until("False", Reason.LLM_UNAUTHORIZED, "two")
    code, out, err = there.run("retry", "two")
    assert code == 0
    assert err == (
        "It failed with LLMUnauthorized, and the same again will. "
        "First, for an administrator: Check the LLM's API key.\n"
    )
    assert out == "two gets attempt 2.\nNext: python -m avatar_cli watch two\n"
    watching = there.start("watch", "two")
    watching.until("two\n")
    second = kubelet.pod("avatars.dev/session=two,avatars.dev/attempt=2")
    kubelet.play(second, RUNNING)
    led.until("Unknown", "Running", "two")
    assert eventually(lambda: led.status("two")["attempt"]) == 2
    assert watching.end(signal.SIGINT) == 130


def test_what_is_worth_another_attempt_gets_no_warning(place: Place) -> None:
    place.apply(status=failed("LLMRateLimited", "429"))
    code, _, err = place.run("retry", "hello")
    assert (code, err) == (0, "")
    code, _, err = place.run("retry", "hello")
    assert code == 26, "the operator has not answered yet"
    assert place.session()["spec"]["retry"] == 1


@pytest.mark.parametrize("reason", ["LLMRefused", "InvalidAudio"])
def test_what_another_spec_would_mend_is_said(place: Place, reason: str) -> None:
    place.apply(status=failed(reason, "no"))
    told = place.json("retry", "hello")
    assert told["retry"] == 1
    assert told["warning"].endswith("If that means another spec, apply a new session.")


def test_what_needs_no_attempt_is_left_alone(place: Place) -> None:
    place.apply("made", made("http://videos.example/v/1.2.x/team/uid/"))
    place.apply("resting", suspend=True)
    for name, words in (("made", "it has its video; download it"), ("resting", "set spec.suspend to false")):
        code, _, err = place.run("retry", name)
        assert code == REASONS[Reason.NOT_POSSIBLE].exit_code
        assert words in err
        assert place.session(name)["spec"].get("retry", 0) == 0
    assert place.run("cancel", "made")[1].startswith("made had ended already: Succeeded.")
    assert place.session("made")["spec"]["cancel"] is False


def test_cancelling_without_waiting(place: Place) -> None:
    place.apply(status=running("render", 10, 4, 36))
    assert place.run("cancel", "hello", "--no-wait")[:2] == (0, "hello is being cancelled.\n")
    waiting = place.start("cancel", "hello")
    waiting.until("waiting until it has ended")
    assert waiting.end(signal.SIGINT) == 130
    assert "the session is being cancelled all the same" in waiting.said
    waiting = place.start("cancel", "hello")
    waiting.until("waiting until it has ended")
    place.write(made("http://videos.example/v/1.2.x/team/uid/"))
    assert waiting.end() == 0
    assert "finished before it could be cancelled; its video is there" in waiting.said
