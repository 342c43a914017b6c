"""What a session waits for that has no place yet, on a stage with one place."""

from __future__ import annotations

from tests.cluster.operator.causes.stage import Await, Cause, Scene, Steps
from tests.cluster.pod_states import RUNNING, ended

from avatar_core.errors import Reason

PLACES = {"sessionsInNamespace": 1}


def _second(scene: Scene) -> Steps:
    stage, world = scene.stage, scene.world
    world.apply("first")
    yield Await("the first one's pod", world.pods)
    scene.apply()
    yield scene.shows("Unknown", Reason.WAITING_FOR_CAPACITY)
    yield scene.counted(Reason.WAITING_FOR_CAPACITY)
    yield Await("its position", lambda: world.status(scene.name).get("queuePosition") == 1)
    [pod] = [pod["metadata"]["name"] for pod in world.pods()]
    stage.kubelet.play(pod, RUNNING)
    receipt, token = world.receipt("first"), world.token(pod)
    yield Await("a result", lambda: stage.operator.post("result", token, receipt)[0] == 202)
    yield Await("its end", lambda: world.condition("first") == ("True", "Succeeded"))
    stage.kubelet.play(pod, ended(0))
    yield scene.pod()
    yield Await("no position", lambda: "queuePosition" not in world.status(scene.name))


CAUSES = [
    Cause(
        Reason.WAITING_FOR_CAPACITY,
        _second,
        "second-in-line",
        ("Unknown",),
        words="other sessions come first",
    )
]
