"""From an empty cluster to a video in a person's hands."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from tests.cluster import eventually
from tests.e2e.commands import CommandError
from tests.e2e.installation import GATEWAY, NAMESPACE, ROOT, Installation, condition
from tests.e2e.videos import see

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def place(installed: Installation) -> str:
    return installed.namespace("people")


def test_everything_is_ready_within_a_minute(installed: Installation) -> None:
    assert installed.seconds < 60
    pods = installed.shell.get("pods", "-n", NAMESPACE)["items"]
    parts = [pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods]
    assert sorted(parts) == ["gateway", "inference", "operator", "operator"]
    restarts = [each["restartCount"] for pod in pods for each in pod["status"]["containerStatuses"]]
    assert restarts == [0, 0, 0, 0]


def test_the_example_becomes_a_video(installed: Installation, place: str, tmp_path: Path) -> None:
    installed.shell.apply(ROOT / "examples/hello.yaml", place)
    status = installed.until(place, "hello", "True", "Succeeded")
    body = installed.fetch(status["video"]["url"])
    assert hashlib.sha256(body).hexdigest() == status["video"]["sha256"]
    (tmp_path / "hello.mp4").write_bytes(body)
    seen = see(tmp_path / "hello.mp4")
    assert (seen.frames, seen.size) == (status["video"]["frames"], (512, 512))
    assert seen.seconds == pytest.approx(status["video"]["seconds"], abs=0.1)
    assert 4 < seen.seconds < 9
    speaks = seen.speaks
    assert seen.opening[speaks].mean() > 3 * seen.opening[~speaks].mean()
    assert abs(seen.lag) <= 2
    assert np.corrcoef(seen.opening, seen.loudness)[0, 1] > 0.2
    assert installed.events(place, "hello")[-1] == "Succeeded"


def test_helm_makes_a_video_of_its_own(installed: Installation) -> None:
    said = installed.shell.helm("test", "avatar-operator", "-n", NAMESPACE, "--timeout", "180s")
    assert set(re.findall(rb"^Phase: +(\w+)", said, re.M)) == {b"Succeeded"}


def test_a_suspended_session_goes_on_when_it_may(installed: Installation, place: str) -> None:
    installed.session(place, "suspended", text="Later.", suspend=True)
    assert eventually(lambda: condition(installed.status(place, "suspended"))[1] == "Suspended", seconds=30)
    installed.shell.kubectl(
        "patch", "avs", "suspended", "-n", place, "--type=merge", "-p", '{"spec":{"suspend":false}}'
    )
    installed.until(place, "suspended", "True", "Succeeded")


def test_the_gateway_needs_a_link(installed: Installation) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}/services/http:{GATEWAY}:8082/proxy"
    for rest in ("/", "/v/1.2.3/a/b/video.mp4", "/v1/store/a/b/video.mp4", "/v1/bundles/x"):
        with pytest.raises(CommandError):
            installed.shell.kubectl("get", "--raw", path + rest)
