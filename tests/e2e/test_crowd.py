"""Twenty sessions at once while every part of the whole is killed in turn: each ends with a video, once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from tests.cluster import eventually
from tests.cluster.node import NodeCluster
from tests.e2e.commands import CommandError, Json
from tests.e2e.installation import NAMESPACE, RELEASE, Installation, condition
from tests.e2e.processes import GATEWAY, INFERENCE, OPERATOR, SESSION, processes

pytestmark = pytest.mark.e2e

SESSIONS = 20
TEXT = (
    "This is one of many faces that talk at once, while parts of the whole are taken away, one by one. " * 2
)
SERVERS = ("kubelet", "containerd", "kube-apiserver")
PARTS = ("session", "inference", "gateway", "operator (leader)")
PATIENCE = 400


@dataclass
class Crowd:
    """Sessions under way, and what is seen of them.

    Attributes:
        rows: of the table: what was killed, when, and how the sessions were then.
        doubled: sessions of which two pods were seen at work at once.
    """

    installed: Installation
    place: str
    names: list[str]
    began: float = field(default_factory=time.monotonic)
    rows: list[str] = field(default_factory=list)
    doubled: set[str] = field(default_factory=set)

    def look(self) -> Counter[str]:
        """How many sessions are how; none where the API server is just away."""
        try:
            sessions = self.installed.shell.get("avs", "-n", self.place)["items"]
            pods = self.installed.shell.get("pods", "-n", self.place)["items"]
        except CommandError:
            return Counter()
        at_work = Counter(_session_of(pod) for pod in pods if pod["status"].get("phase") == "Running")
        self.doubled |= {name for name, number in at_work.items() if number > 1}
        return Counter(condition(session.get("status", {}))[1] or "new" for session in sessions)

    def tell(self, victim: str) -> None:
        seen = ", ".join(f"{number} {reason}" for reason, number in sorted(self.look().items()))
        self.rows.append(f"{time.monotonic() - self.began:6.1f} s  {victim:<18} {seen or 'no answer'}")


def _session_of(pod: Json) -> str:
    return str(pod["metadata"]["labels"]["avatars.dev/session"])


@pytest.fixture(scope="module")
def installed(installation: Installation) -> Installation:
    """Two inference servers share the sessions."""
    installation.become("--set=inference.replicas=2")
    return installation


def killers(crowd: Crowd, node: NodeCluster, dice: random.Random) -> dict[str, Callable[[], None]]:
    """By what they kill."""
    shell = crowd.installed.shell

    def one_of(part: str, pods: set[str]) -> None:
        found = eventually(lambda: processes(part, pods), seconds=60)
        dice.choice(found).kill()

    def session() -> None:
        pods = shell.get("pods", "-n", crowd.place)["items"]
        one_of(SESSION, {pod["metadata"]["name"] for pod in pods})

    def leader() -> None:
        lease = shell.get("lease", RELEASE, "-n", NAMESPACE)
        one_of(OPERATOR, {str(lease["spec"]["holderIdentity"]).rpartition("-")[0]})

    def of(part: str, program: str) -> Callable[[], None]:
        return lambda: one_of(program, crowd.installed.pods_of(part))

    ours = (session, of("inference", INFERENCE), of("gateway", GATEWAY), leader)
    return dict(zip(PARTS, ours, strict=True)) | {
        server: (lambda server=server: node.restart(server)) for server in SERVERS
    }


def test_every_part_is_killed_in_turn(
    installed: Installation, node: NodeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    place = installed.namespace("crowd")
    crowd = Crowd(installed, place, [f"one-{number}" for number in range(SESSIONS)])
    for name in crowd.names:
        installed.session(place, name, text=TEXT, timeoutSeconds=PATIENCE, startTimeoutSeconds=PATIENCE)
    victims = list(killers(crowd, node, dice).items())
    dice.shuffle(victims)
    for victim, kill in victims:
        time.sleep(dice.uniform(1, 8))
        crowd.tell(victim)
        kill()

    try:
        eventually(lambda: crowd.look()["Succeeded"] == SESSIONS, seconds=PATIENCE)
    finally:
        crowd.tell("-")
        with capsys.disabled():
            print("\n".join(["", f"seed {seed}; killed while sessions were so:", *crowd.rows]))
    assert crowd.doubled == set()
    for name in crowd.names:
        video = installed.status(place, name)["video"]
        assert len(installed.fetch(video["url"])) == video["bytes"]
    assert both_drew(installed)


def both_drew(installed: Installation) -> bool:
    """Whether each inference server has drawn for somebody, as its log says."""
    pods = installed.pods_of("inference")
    return len(pods) == 2 and all("render finished" in log_of(installed, pod) for pod in pods)


def log_of(installed: Installation, pod: str) -> str:
    """Of the container that runs and of the one before, if there was one."""
    log = installed.shell.kubectl("logs", "-n", NAMESPACE, pod)
    with suppress(CommandError):
        log += installed.shell.kubectl("logs", "-n", NAMESPACE, pod, "--previous")
    return log.decode()
