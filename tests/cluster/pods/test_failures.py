"""What goes wrong in a pod is told in the session's condition, as it was."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from tests.cluster import eventually
from tests.cluster.pods.conftest import Place
from tests.cluster.pods.providers import good_speech, half_speech, hung, with_speech

pytestmark = pytest.mark.cluster


def message_of(place: Place, name: str) -> str:
    """Of the condition Succeeded."""
    conditions = place.world.status(name)["conditions"]
    return next(str(c["message"]) for c in conditions if c["type"] == "Succeeded")


def words_of(place: Place, name: str) -> dict[str, str]:
    """What the session's first pod left."""
    pod = place.first_pod(name)
    assert eventually(pod.over.is_set, seconds=90)
    words: dict[str, str] = json.loads((pod.folder / "termination-log").read_text())
    return words


def handles_sigterm(pid: int) -> bool:
    """Whether the process has a handler of its own."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_wrong_key(place: Place) -> None:
    place.apply("wrong", prompt="Talk.", providerRef={"name": "wrong"})
    place.world.until("False", "LLMUnauthorized", "wrong", seconds=60)
    assert "401" in message_of(place, "wrong")
    assert "sk-" not in json.dumps(place.world.session("wrong"))
    assert "sk-" not in place.first_pod("wrong").log
    assert len(place.node.pods_of("wrong")) == 1


def test_a_key_that_is_not_in_the_secret(place: Place) -> None:
    place.apply("keyless", prompt="Talk.", providerRef={"name": "keyless"}, startTimeoutSeconds=4)
    place.world.until("False", "SecretNotFound", "keyless", seconds=60)
    assert "absent" in message_of(place, "keyless")


def test_an_llm_that_hangs(place: Place) -> None:
    place.llm.handler = hung
    place.apply("hung", prompt="Talk.", timeoutSeconds=4)
    place.world.until("False", "DeadlineExceeded", "hung", seconds=60)
    assert "stage llm" in message_of(place, "hung")


@pytest.mark.slow
def test_servers_that_are_down(place: Place) -> None:
    place.node.overrides = {"AVATAR_INFERENCE_ADDRESS": "127.0.0.1:1"}
    place.apply("llm-down", prompt="Talk.", providerRef={"name": "down"}, timeoutSeconds=20)
    place.apply("inference-down", text="Talk.", timeoutSeconds=12)
    assert words_of(place, "llm-down")["reason"] == "LLMUnavailable"
    assert words_of(place, "inference-down")["reason"] == "InferenceUnavailable"
    # A Job's controller waits 10 s before the second pod, and 20 s before the third.
    place.world.until("False", "LLMUnavailable", "llm-down", seconds=180)
    place.world.until("False", "InferenceUnavailable", "inference-down", seconds=180)
    assert "127.0.0.1:1" in message_of(place, "llm-down")
    assert "127.0.0.1:1" in message_of(place, "inference-down")


def test_a_gateway_that_is_down(place: Place) -> None:
    place.node.overrides = {"AVATAR_GATEWAY_URL": "http://127.0.0.1:1"}
    place.apply("storeless", text="Talk.", timeoutSeconds=60)
    words = words_of(place, "storeless")
    assert words["reason"] == "StoreUnavailable"
    assert "127.0.0.1:1" in words["message"]
    place.world.delete("storeless")


def test_cancel_while_it_renders(place: Place) -> None:
    uid = place.apply("cancel", text="This goes on and on, and nobody wants to hear it. " * 60)
    pod = place.first_pod("cancel")
    assert eventually(lambda: place.world.status("cancel").get("stage") == "render", seconds=60)
    place.world.change("cancel", cancel=True)
    place.world.until("False", "Cancelled", "cancel", seconds=60)
    assert eventually(pod.over.is_set, seconds=30)
    assert pod.process is not None
    assert pod.process.returncode == 130
    assert json.loads((pod.folder / "termination-log").read_text())["reason"] == "Cancelled"
    assert not (place.folder(uid) / "result.json").exists()


@pytest.mark.slow
def test_a_pod_that_is_killed_in_mid_speech_is_followed_by_one_that_goes_on(place: Place) -> None:
    place.llm.handler = with_speech(good_speech, half_speech, good_speech)
    before = len(place.llm.requests)
    uid = place.apply("killed", prompt="Talk.", providerRef={"name": "voiced"}, timeoutSeconds=120)
    pod = place.first_pod("killed")
    assert eventually((place.folder(uid) / "reply.json").exists, seconds=60)
    assert eventually(lambda: len(place.llm.requests) - before == 3)
    pod.kill()
    place.world.until("True", "Succeeded", "killed", seconds=90)
    assert pod.process is not None
    assert pod.process.returncode == -9
    assert len(place.node.pods_of("killed")) == 2
    asked = [request.path.rpartition("/")[2] for request in place.llm.requests[before:]]
    assert asked == ["completions", *["speech"] * 5], "the reply was kept, half a speech was not"
    names = {path.name for path in place.folder(uid).iterdir() if not path.name.startswith("watch")}
    assert names == {"video.mp4", "result.json"}


def test_what_a_pod_leaves_when_it_is_told_to_end_before_it_works(place: Place) -> None:
    place.llm.handler = hung
    place.apply("early", prompt="Talk.")
    pod = place.first_pod("early")
    assert pod.process is not None
    assert eventually(lambda: handles_sigterm(pod.process.pid), seconds=60)
    place.world.delete("early")
    assert eventually(pod.over.is_set, seconds=30)
    assert pod.process.returncode == 130
    assert json.loads((pod.folder / "termination-log").read_text())["reason"] == "Cancelled"


def test_a_process_that_does_not_obey_is_killed_after_its_grace(place: Place) -> None:
    place.llm.handler = hung
    uid = place.apply("stuck", prompt="Talk.")
    pod = place.first_pod("stuck")
    pod.kill(signal.SIGSTOP)
    place.world.delete("stuck")
    assert eventually(lambda: not place.world.session("stuck"), seconds=60)
    assert pod.process is not None
    assert pod.process.wait(10) == -9
    assert not place.folder(uid).exists()
