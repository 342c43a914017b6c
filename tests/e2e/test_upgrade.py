"""From the chart and the image before to those of the tree and back, with sessions under way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster import eventually
from tests.cluster.node import NodeCluster
from tests.cluster.versions import check_out
from tests.e2e.installation import NAMESPACE, RELEASE, Installation, condition
from tests.e2e.setup import ARCHIVES

pytestmark = pytest.mark.e2e

VERSION = (Path(__file__).parent / "previous_version.txt").read_text().strip()
TEXT = "This takes a while to draw, and meanwhile all around it is exchanged. " * 8
SESSIONS = 3


@pytest.fixture(scope="module")
def previous(node: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart before; the node has its image of operator, sessions and gateway, tagged `previous`."""
    tree = check_out(VERSION, tmp_path_factory.mktemp("previous"))
    archives = ARCHIVES.with_name("previous")
    command = [sys.executable, str(tree / "tools/images"), "--tag=previous", f"--archives={archives}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-1500:]
    node.load_image(archives / "avatar-operator.tar")
    return tree / "charts/avatar-operator"


@pytest.fixture(scope="module")
def upgraded(installation: Installation, previous: Path) -> Installation:
    """The chart before, installed."""
    if installation.values is not None:
        installation.uninstall()
    installation.install(previous, "--set=image.tag=previous,inference.image.tag=dev")
    return installation


@pytest.fixture(scope="module")
def place(upgraded: Installation) -> str:
    return upgraded.namespace("travelling")


def some_under_way(installation: Installation, place: str, prefix: str) -> list[str]:
    """At work, and one that waits."""
    names = [f"{prefix}-{number}" for number in range(SESSIONS)]
    for name in names:
        installation.session(place, name, text=TEXT, timeoutSeconds=300)
    installation.session(place, f"{prefix}-later", text="Later.", suspend=True)
    assert eventually(
        lambda: all(condition(installation.status(place, name))[1] == "Running" for name in names), seconds=90
    )
    return names


def assert_all_end(installation: Installation, place: str, names: list[str], prefix: str) -> None:
    installation.change(place, f"{prefix}-later", suspend=False)
    for name in [*names, f"{prefix}-later"]:
        status = installation.until(place, name, "True", "Succeeded", seconds=240)
        assert len(installation.fetch(status["video"]["url"])) == status["video"]["bytes"]
        assert not status.get("lostAttempts")


def test_sessions_go_on_through_an_upgrade_and_a_rollback(upgraded: Installation, place: str) -> None:
    names = some_under_way(upgraded, place, "up")
    upgraded.upgrade("--set=image.tag=dev,inference.image.tag=dev")
    assert_all_end(upgraded, place, names, "up")

    names = some_under_way(upgraded, place, "down")
    upgraded.shell.helm("rollback", RELEASE, "1", "-n", NAMESPACE, "--wait", "--timeout=240s")
    assert_all_end(upgraded, place, names, "down")
    videos = [f"up-{number}" for number in range(SESSIONS)]
    for name in videos:
        status = upgraded.status(place, name)
        assert len(upgraded.fetch(status["video"]["url"])) == status["video"]["bytes"]
