"""Videos go when they expire and not before; what is deleted leaves nothing behind."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime

import pytest
from tests.cluster import eventually
from tests.e2e.commands import CommandError
from tests.e2e.installation import NAMESPACE, Installation, condition

pytestmark = pytest.mark.e2e

TTL = 25
CLEANING_SECONDS = 30
"""For a clean-up Job: its pod is scheduled and started like any other."""


@pytest.fixture(scope="module")
def place(installed: Installation) -> str:
    return installed.namespace("expiring")


def fetched(installed: Installation, url: str) -> bool:
    try:
        return bool(installed.fetch(url))
    except CommandError:
        return False


def test_videos_go_when_they_expire_and_not_before(installed: Installation, place: str) -> None:
    for name in ("first", "second"):
        installed.session(place, name, text="I am here for a while.", videoTTLSeconds=TTL)
    installed.session(place, "younger", text="I am here for longer.")
    urls, expiries = {}, {}
    for name in ("first", "second", "younger"):
        video = installed.until(place, name, "True", "Succeeded")["video"]
        urls[name], expiries[name] = video["url"], datetime.fromisoformat(video["expiresAt"]).timestamp()
    earliest = min(expiries.values())
    while time.time() < earliest - 1:
        assert all(fetched(installed, url) for url in urls.values()), "deleted before its time"
        time.sleep(2)
    for name in ("first", "second"):
        until_expired(installed, place, name)
        assert not fetched(installed, urls[name])
        assert installed.events(place, name)[-1] == "VideoExpired"
        assert condition(installed.status(place, name)) == ("True", "Succeeded")
        assert deletions(installed, place, name) == 1
    assert fetched(installed, urls["younger"])


def until_expired(installed: Installation, place: str, name: str) -> None:
    gone = ("False", "VideoExpired")
    eventually(
        lambda: condition(installed.status(place, name), "VideoAvailable") == gone,
        seconds=TTL + CLEANING_SECONDS,
    )


def deletions(installed: Installation, place: str, name: str) -> int:
    """Lines of clean-up pods that tell of the session's video."""
    uid = installed.shell.get("avs", name, "-n", place)["metadata"]["uid"]
    selector = "app.kubernetes.io/component=cleanup"
    pods = installed.shell.get("pods", "-n", NAMESPACE, "-l", selector)["items"]
    logs = [installed.shell.kubectl("logs", "-n", NAMESPACE, pod["metadata"]["name"]) for pod in pods]
    lines = [json.loads(line) for log in logs for line in log.splitlines() if line.startswith(b"{")]
    video = re.compile(rf"{uid}/video\.mp4")
    return sum(bool(video.search(json.dumps(line))) for line in lines)


def test_a_session_goes_by_itself_with_its_video(installed: Installation, place: str) -> None:
    installed.session(place, "short", text="Not for long.", ttlSecondsAfterFinished=8)
    url = installed.until(place, "short", "True", "Succeeded")["video"]["url"]
    assert fetched(installed, url)
    assert eventually(
        lambda: not installed.shell.there("avs", "short", "-n", place), seconds=8 + CLEANING_SECONDS
    )
    assert not fetched(installed, url)
    assert installed.pods(place, "short") == []


def test_a_session_is_deleted_with_all_that_was_its(installed: Installation, place: str) -> None:
    installed.session(place, "gone", text="Goodbye.")
    status = installed.until(place, "gone", "True", "Succeeded")
    installed.shell.kubectl("delete", "avs", "gone", "-n", place, "--timeout=60s")
    with pytest.raises(CommandError, match=r"not there|NotFound|404"):
        installed.fetch(status["video"]["url"])
    left = installed.shell.get("jobs,pods", "-n", place, "-l", "avatars.dev/session=gone")["items"]
    assert [each["metadata"]["name"] for each in left if "deletionTimestamp" not in each["metadata"]] == []


def test_a_namespace_goes_with_a_session_at_work(installed: Installation) -> None:
    namespace = installed.namespace("leaving")
    installed.session(namespace, "done", text="Done before.")
    installed.until(namespace, "done", "True", "Succeeded")
    installed.session(namespace, "at-work", text="This takes a while to draw. " * 40)
    eventually(lambda: condition(installed.status(namespace, "at-work"))[1] == "Running", seconds=60)
    installed.shell.kubectl("delete", "namespace", namespace, "--timeout=90s")
