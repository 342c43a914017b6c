"""What a node brings about: the real scheduler, the real eviction API and the real node lifecycle say so.

Only the kubelet is played: the pods run, and the node's heart beats, until the test stops both.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime

from tests.cluster.kubelet import Kubelet
from tests.cluster.operator.causes.stage import Await, Cause, Scene, Steps
from tests.cluster.pod_states import RUNNING
from tests.cluster.rest import STRATEGIC_PATCH, Rest, RestError

from avatar_core.errors import Reason

FLAGS = ["--controllers=*", "--node-monitor-period=500ms", "--node-monitor-grace-period=6s"]


class Heart:
    """Says every second that a node lives, until it stops."""

    def __init__(self, rest: Rest, kubelet: Kubelet) -> None:
        self._rest, self._path = rest, f"/api/v1/nodes/{kubelet.node}/status"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """May be called again."""
        self._stopping.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stopping.wait(1):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now}
            with suppress(RestError):
                self._rest.patch(self._path, {"status": {"conditions": [ready]}}, STRATEGIC_PATCH)


def _no_node(scene: Scene) -> Steps:
    """The first of them: when it has ended, a node comes."""
    scene.apply(startTimeoutSeconds=3)
    yield scene.shows("False", Reason.UNSCHEDULABLE)
    scene.stage.begin(scene.stage.kubelet)
    scene.stage.heart = Heart(scene.world.cluster.rest, scene.stage.kubelet)


def _evicted(scene: Scene) -> Steps:
    scene.pods(RUNNING)
    scene.apply()
    yield scene.shows("Unknown", Reason.UNSCHEDULABLE)
    yield scene.shows("Unknown", "Running")
    [pod] = scene.pod_names()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{scene.world.namespace}/pods/{pod}/eviction"
    scene.world.cluster.rest.post(path, eviction)
    yield scene.shows("Unknown", Reason.POD_DISRUPTED)
    yield scene.counted(Reason.POD_DISRUPTED)
    yield Await("another pod runs", lambda: scene.world.condition(scene.name) == ("Unknown", "Running"))
    assert scene.pod_names() != [pod]


def _silent(scene: Scene) -> Steps:
    """The last of them: the node dies once the others are through."""
    scene.pods(RUNNING)
    scene.apply()
    yield scene.shows("Unknown", "Running")
    evicted = scene.stage.witness.of(scene.world.namespace, EVICTED)
    yield Await("the other is evicted", lambda: evicted.shown("Unknown", Reason.POD_DISRUPTED))
    yield Await("the other runs again", lambda: evicted.conditions()[-1]["reason"] == "Running")
    assert scene.stage.heart is not None
    scene.stage.heart.stop()
    scene.stage.kubelet.stop()
    yield scene.shows("Unknown", Reason.NODE_LOST)
    yield scene.counted(Reason.NODE_LOST)
    yield scene.pod(2)


EVICTED = "a-pod-that-is-evicted"
CAUSES = [
    Cause(Reason.UNSCHEDULABLE, _no_node, "no-node-at-all", ("Unknown", "False"), words="no nodes available"),
    Cause(Reason.POD_DISRUPTED, _evicted, EVICTED, ("Unknown",), words="another pod follows"),
    Cause(Reason.NODE_LOST, _silent, "a-node-that-falls-silent", ("Unknown",), words="does not answer"),
]
