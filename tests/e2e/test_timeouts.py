"""What hangs ends in time, where it hangs is told, and what was finished is not done again."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from tests.cluster import eventually
from tests.cluster.node import NodeCluster
from tests.e2e.installation import NAMESPACE, Installation, condition, message
from tests.e2e.peers.manifests import REPLY
from tests.e2e.peers.running import Peers
from tests.e2e.processes import INFERENCE, processes

pytestmark = pytest.mark.e2e

LIMIT = 8
AFTERWARDS = 5
"""Seconds after the limit until the operator deletes the Job, should the pod itself not end."""
SLACK = 15
SESSION_IMAGE = "localhost/avatar-operator:dev"


@pytest.fixture(scope="module")
def place(installed: Installation, peers: Peers) -> str:
    name = installed.namespace("waiting")
    peers.introduce(name)
    return name


def assert_ends_in_time(installed: Installation, place: str, name: str, stage: str) -> None:
    """By its limit, with the stage and how far it was; and then nothing of it runs."""
    eventually(lambda: installed.status(place, name).get("startedAt"), seconds=60)
    began = time.monotonic()
    status = installed.until(place, name, "False", "DeadlineExceeded")
    assert time.monotonic() - began < LIMIT + AFTERWARDS + SLACK
    assert re.search(rf"after {LIMIT} s in stage {stage} at \d+ %", message(status)), message(status)
    assert status["stage"] == stage
    assert installed.events(place, name)[-1] == "DeadlineExceeded"
    assert eventually(lambda: not alive(installed, place, name), seconds=AFTERWARDS + SLACK)


def alive(installed: Installation, place: str, name: str) -> list[str]:
    """Pods of a session that have not ended."""
    ended = {"Succeeded", "Failed"}
    pods = installed.pods(place, name)
    return [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") not in ended]


def test_an_llm_that_hangs(installed: Installation, place: str) -> None:
    installed.session(
        place, "hung-llm", prompt="Say hello.", providerRef={"name": "slow"}, timeoutSeconds=LIMIT
    )
    assert_ends_in_time(installed, place, "hung-llm", "llm")


def test_a_voice_that_hangs(installed: Installation, place: str) -> None:
    installed.session(place, "hung-voice", text="Hang on, please.", timeoutSeconds=LIMIT)
    assert_ends_in_time(installed, place, "hung-voice", "speech")


def test_a_renderer_that_hangs_and_a_retry_that_goes_on(
    installed: Installation, node: NodeCluster, place: str, peers: Peers
) -> None:
    """The reply is kept: the second attempt needs no LLM."""
    servers = installed.pods_of("inference")
    (server,) = processes(INFERENCE, servers)
    with server.frozen():
        installed.session(place, "hung-face", prompt="Say hello.", timeoutSeconds=LIMIT)
        assert_ends_in_time(installed, place, "hung-face", "render")
    peers.scale("chat", 0)
    try:
        installed.change(place, "hung-face", retry=1)
        status = installed.until(place, "hung-face", "True", "Succeeded")
    finally:
        peers.scale("chat", 1)
    assert status["attempt"] == 2
    assert status["reply"] == REPLY


def test_an_image_that_can_not_be_pulled(
    installed: Installation, place: str, node: NodeCluster, archives: list[Path]
) -> None:
    node.remove_image(SESSION_IMAGE)
    try:
        installed.session(place, "imageless", text="Hello.", startTimeoutSeconds=20)
        waits = ("Unknown", "ImagePullBackOff")
        assert eventually(lambda: condition(installed.status(place, "imageless")) == waits, seconds=20)
        status = installed.until(place, "imageless", "False", "ImagePullBackOff", seconds=60)
        assert SESSION_IMAGE in message(status)
        assert eventually(lambda: not installed.pods(place, "imageless"), seconds=SLACK)
    finally:
        node.load_image(next(each for each in archives if each.stem == "avatar-operator"))
    installed.change(place, "imageless", retry=1)
    installed.until(place, "imageless", "True", "Succeeded")
    restarted = [
        container["restartCount"]
        for pod in installed.shell.get("pods", "-n", NAMESPACE)["items"]
        for container in pod["status"]["containerStatuses"]
    ]
    assert set(restarted) == {0}, "what ran went on without the image"
