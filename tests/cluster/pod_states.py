"""What a kubelet or the scheduler would write into a pod's status. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_TRUE, _FALSE = "True", "False"
_STARTED = dict.fromkeys(("PodScheduled", "PodReadyToStartContainers", "Initialized"), (_TRUE, ""))


@dataclass(frozen=True, slots=True)
class PodState:
    """A state that a pod can be put into.

    Attributes:
        phase: as in the pod's status; None keeps what it is.
        conditions: (status, reason) by type; others stay as they are.
        container: the state of each container, such as {"waiting": {"reason": "ImagePullBackOff"}}; None
            keeps what they are.
        needs_node: whether a pod in this state was given to a node.
        message: of the first condition that has a reason.
    """

    phase: str | None = None
    conditions: dict[str, tuple[str, str]] = field(default_factory=dict)
    container: Json | None = None
    needs_node: bool = True
    message: str = ""

    def status(self, pod: Json, now: str) -> Json:
        """A strategic merge patch of the status of `pod`; `now` as Kubernetes writes times."""
        status: Json = {"conditions": [self._condition(kind, now) for kind in self.conditions]}
        if self.phase:
            status["phase"] = self.phase
        if self.needs_node:
            status["startTime"] = pod["status"].get("startTime", now)
        if self.container is not None:
            status["containerStatuses"] = [
                _container_status(container, self.container, _started_at(pod, now), now)
                for container in pod["spec"]["containers"]
            ]
        return status

    def _condition(self, kind: str, now: str) -> Json:
        status, reason = self.conditions[kind]
        text = {"reason": reason, "message": self.message} if reason else {}
        return {"type": kind, "status": status, "lastTransitionTime": now, **text}


RUNNING = PodState(
    phase="Running",
    conditions=_STARTED | {"ContainersReady": (_TRUE, ""), "Ready": (_TRUE, "")},
    container={"running": {}},
)


def ended(exit_code: int = 0, message: str = "", reason: str = "") -> PodState:
    """Every container has ended; `message` is what it left in its termination log."""
    why = reason or ("Completed" if exit_code == 0 else "Error")
    done = (_FALSE, "PodCompleted" if exit_code == 0 else "PodFailed")
    return PodState(
        phase="Succeeded" if exit_code == 0 else "Failed",
        conditions=_STARTED | {"ContainersReady": done, "Ready": done},
        container={"terminated": {"exitCode": exit_code, "reason": why, "message": message}},
    )


def waiting(reason: str, message: str = "") -> PodState:
    """On a node, not started: ContainerCreating, ErrImagePull, CreateContainerConfigError..."""
    unready = (_FALSE, "ContainersNotReady")
    return PodState(
        phase="Pending",
        conditions=_STARTED | {"ContainersReady": unready, "Ready": unready},
        container={"waiting": {"reason": reason, "message": message}},
    )


def disrupted(reason: str, message: str = "") -> PodState:
    """Ended from outside, which is nobody's failure: EvictionByEvictionAPI, PreemptionByScheduler,
    DeletionByTaintManager, TerminationByKubelet."""
    end = ended(137, message)
    return PodState(
        phase=end.phase,
        conditions={"DisruptionTarget": (_TRUE, reason)} | end.conditions,
        container=end.container,
        message=message,
    )


OOM_KILLED = ended(137, reason="OOMKilled")
IMAGE_PULL_BACK_OFF = waiting("ImagePullBackOff", 'Back-off pulling image "example.invalid/absent:1"')
UNSCHEDULABLE = PodState(
    phase="Pending",
    conditions={"PodScheduled": (_FALSE, "Unschedulable")},
    needs_node=False,
    message="0/1 nodes are available: 1 Insufficient cpu.",
)
# Its node is heard of no more: the node lifecycle controller writes False, not Unknown, and no reason, while
# the containers stay what they were when last heard of. After the pod's tolerations it is deleted and hangs.
NODE_LOST = PodState(conditions={"Ready": (_FALSE, "")})


def _container_status(container: Json, state: Json, started: str, now: str) -> Json:
    kind, detail = next(iter(state.items()))
    times = {"running": {"startedAt": started}, "terminated": {"startedAt": started, "finishedAt": now}}
    runs = kind == "running"
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": runs,
        "started": runs,
        "restartCount": 0,
        "state": {kind: {**detail, **times.get(kind, {})}},
    }


def _started_at(pod: Json, now: str) -> str:
    """When the containers started, if they run."""
    for container in pod["status"].get("containerStatuses", []):
        if running := container["state"].get("running"):
            return str(running["startedAt"])
    return now
