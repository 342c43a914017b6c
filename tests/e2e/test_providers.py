"""Other people's LLM and speech servers as pods, with their keys in a Secret; and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.installation import Installation, message
from tests.e2e.peers.manifests import KEY, REPLY
from tests.e2e.peers.running import Peers
from tests.e2e.videos import see

pytestmark = pytest.mark.e2e

RETRIES = 240
"""Seconds for three pods: a Job's controller waits 10 s before the second, and 20 s before the third."""


@pytest.fixture(scope="module")
def place(installed: Installation, peers: Peers) -> str:
    """With a session for each thing that may be wrong with a server that is there; all begin at once."""
    name = installed.namespace("asking")
    peers.introduce(name)
    installed.session(name, "good", prompt="Say hello.")
    installed.session(name, "wrong-key", prompt="Say hello.", providerRef={"name": "wrong-key"})
    installed.session(name, "limited", prompt="Say hello.", providerRef={"name": "limited"})
    return name


def told(installed: Installation, place: str, name: str) -> str:
    """Everything that is written about a session: itself, its Events, its pods' logs."""
    pods = [pod["metadata"]["name"] for pod in installed.pods(place, name)]
    logs = [installed.shell.kubectl("logs", "-n", place, pod).decode() for pod in pods]
    events = installed.shell.kubectl("get", "events", "-n", place, "-o", "yaml").decode()
    return json.dumps(installed.shell.get("avs", name, "-n", place)) + events + "".join(logs)


def test_a_prompt_becomes_a_video(installed: Installation, place: str, tmp_path: Path) -> None:
    status = installed.until(place, "good", "True", "Succeeded")
    assert status["reply"] == REPLY
    assert status["usage"]["completionTokens"] > 10
    assert status["usage"]["tokensEstimated"] is False
    (tmp_path / "good.mp4").write_bytes(installed.fetch(status["video"]["url"]))
    seen = see(tmp_path / "good.mp4")
    assert seen.frames == status["video"]["frames"]
    assert 4 < seen.seconds < 12
    assert seen.opening[seen.speaks].mean() > 2 * seen.opening[~seen.speaks].mean()
    assert KEY not in told(installed, place, "good")


def test_a_wrong_key_is_final_and_told_to_nobody(installed: Installation, place: str) -> None:
    status = installed.until(place, "wrong-key", "False", "LLMUnauthorized")
    assert status["attempt"] == 1
    assert "401" in message(status)
    assert installed.columns(place, "wrong-key")["REASON"] == "LLMUnauthorized"
    assert installed.events(place, "wrong-key")[-1] == "LLMUnauthorized"
    assert "sk-is-not-the-key" not in told(installed, place, "wrong-key")


def test_a_rate_limit_is_tried_again_and_then_named(installed: Installation, place: str) -> None:
    status = installed.until(place, "limited", "False", "LLMRateLimited", seconds=RETRIES)
    assert "429" in message(status)
    assert installed.columns(place, "limited")["REASON"] == "LLMRateLimited"
    assert installed.events(place, "limited")[-1] == "LLMRateLimited"


def test_servers_that_are_gone_are_named_and_a_retry_goes_on(
    installed: Installation, place: str, peers: Peers
) -> None:
    peers.scale("voice", 0)
    try:
        installed.session(place, "voiceless", prompt="Say hello.", timeoutSeconds=60)
        status = installed.until(place, "voiceless", "False", "SpeechUnavailable", seconds=RETRIES)
        assert "voice.peers.svc" in message(status)
        peers.scale("chat", 0)
        installed.session(place, "mute", prompt="Say hello.", timeoutSeconds=60)
        installed.until(place, "mute", "False", "LLMUnavailable", seconds=RETRIES)
        assert installed.events(place, "mute")[-1] == "LLMUnavailable"
        peers.scale("voice", 1)
        installed.change(place, "voiceless", retry=1)
        again = installed.until(place, "voiceless", "True", "Succeeded")
        assert again["reply"] == REPLY, "kept: the LLM is still gone"
    finally:
        peers.scale("chat", 1)
        peers.scale("voice", 1)
    installed.change(place, "mute", retry=1)
    installed.until(place, "mute", "True", "Succeeded")
