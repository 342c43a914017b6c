"""`helm uninstall` leaves nothing that waits for an operator; what it keeps serves the next installation."""

from __future__ import annotations

import pytest
from tests.cluster import eventually
from tests.e2e.installation import NAMESPACE, RELEASE, Installation, condition

pytestmark = pytest.mark.e2e

OURS = "app.kubernetes.io/managed-by=avatar-operator"
LONG = "This takes a while to draw. " * 40


@pytest.fixture(scope="module")
def place(installed: Installation) -> str:
    return installed.namespace("staying")


def test_nothing_is_left_behind_and_nothing_is_lost(installed: Installation, place: str) -> None:
    shell = installed.shell
    installed.session(place, "done", text="Done before.")
    video = installed.until(place, "done", "True", "Succeeded")["video"]
    installed.session(place, "at-work", text=LONG)
    assert eventually(lambda: condition(installed.status(place, "at-work"))[1] == "Running", seconds=60)

    shell.helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout=120s")
    installed.values = None
    assert shell.get("jobs,pods", "-A", "-l", OURS)["items"] == []
    # Helm leaves the pod of `helm test` to whoever wants its log.
    shell.kubectl("delete", "pod", f"{RELEASE}-test", "-n", NAMESPACE, "--ignore-not-found")
    assert eventually(lambda: not shell.get("pods", "-n", NAMESPACE)["items"], seconds=60)
    sessions = shell.get("avs", "-A")["items"]
    assert {each["metadata"]["name"] for each in sessions} >= {"done", "at-work"}
    assert [each["metadata"]["name"] for each in sessions if each["metadata"].get("finalizers")] == []
    kept = "deployments,jobs,cronjobs,roles,rolebindings,networkpolicies,configmaps,services"
    left = [each["metadata"]["name"] for each in shell.get(kept, "-n", NAMESPACE)["items"]]
    assert [name for name in left if RELEASE in name] == []

    installed.become()
    body = installed.fetch(video["url"])
    assert len(body) == video["bytes"], "link, key and volume were kept"
    installed.until(place, "at-work", "True", "Succeeded", seconds=180)
    shell.kubectl("delete", "avs", "--all", "-n", place, "--timeout=120s")


def test_with_nothing_kept_the_definitions_go_too(installed: Installation, place: str) -> None:
    installed.become("--set=crds.keep=false")
    installed.session(place, "done", text="Done before.")
    installed.until(place, "done", "True", "Succeeded")
    installed.session(place, "at-work", text=LONG)
    assert eventually(lambda: condition(installed.status(place, "at-work"))[1] == "Running", seconds=60)
    installed.shell.helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout=240s")
    installed.values = None
    definitions = installed.shell.kubectl("get", "customresourcedefinitions", "-o", "name").decode()
    assert "avatars.dev" not in definitions
    assert installed.shell.get("jobs,pods", "-A", "-l", OURS)["items"] == []
