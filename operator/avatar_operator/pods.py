"""What a pod's state means for its session."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from avatar_core.errors import CLUSTER_AGAIN, CLUSTER_FINAL, REASONS, Reason
from avatar_operator.objects import ContainerView, PodView

GONE_MARGIN = 30
"""Seconds after its grace at which a pod that is still there is taken for lost with its node."""
LOST_MARGIN = 5
"""The same when its node is known to be silent."""

FINAL_EXIT_CODES = (2, *range(10, CLUSTER_FINAL), 70, 124)
"""No other pod is tried after these. 130 is what a killed process says, and a killed pod is replaced."""
_CLUSTER_ONLY = frozenset({CLUSTER_FINAL, CLUSTER_AGAIN})

_IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CANNOT_START = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreStartHookError"}
)


class Kind(StrEnum):
    """What is to be expected of a pod."""

    STARTING = "starting"  # nothing is wrong so far
    WAITING = "waiting"  # it can't start until somebody acts
    RUNNING = "running"
    LOST = "lost"  # its node is silent
    ENDED = "ended"  # by itself, as it should
    AGAIN = "again"  # it failed; another pod may do better
    FINAL = "final"  # it failed, and others would


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pod's state means, and why."""

    kind: Kind
    reason: Reason | None = None
    message: str = ""


def judge(pod: PodView) -> Verdict:
    """What a pod's state means."""
    if pod.phase == "Succeeded":
        return Verdict(Kind.ENDED)
    if pod.phase == "Failed":
        return _failed(pod)
    if pod.ready == "Unknown" or pod.phase == "Unknown":
        return Verdict(Kind.LOST, Reason.NODE_LOST, f"the node of pod {pod.name} does not answer")
    if pod.container.started_at is not None:
        return Verdict(Kind.RUNNING)
    if pod.unschedulable:
        return Verdict(Kind.WAITING, Reason.UNSCHEDULABLE, pod.unschedulable)
    return _starting(pod.container)


def stuck_at(pod: PodView) -> float | None:
    """When a pod that is being deleted counts as never going by itself, its kubelet being silent."""
    if pod.over or pod.gone_by is None:
        return None
    return pod.gone_by + (LOST_MARGIN if judge(pod).kind is Kind.LOST else GONE_MARGIN)


def is_oom(pod: PodView) -> bool:
    """Whether its container was killed for memory."""
    return pod.over and pod.container.end_reason == "OOMKilled"


def _starting(container: ContainerView) -> Verdict:
    why, message = container.waiting, container.waiting_message
    if why in _IMAGE:
        return Verdict(Kind.WAITING, Reason.IMAGE_PULL_BACK_OFF, _told(why, message))
    if why == "CreateContainerConfigError" and _names_secret(message):
        return Verdict(Kind.WAITING, Reason.SECRET_NOT_FOUND, message)
    if why in _CANNOT_START:
        return Verdict(Kind.WAITING, Reason.CONTAINER_CANNOT_START, _told(why, message))
    return Verdict(Kind.STARTING)


def _names_secret(message: str) -> bool:
    return "secret " in message.lower() and ("not found" in message or "couldn't find key" in message)


def _failed(pod: PodView) -> Verdict:
    """A failed pod. Disruption comes first: what a process says while it is being killed proves nothing."""
    ended = pod.container
    if pod.disrupted:
        return Verdict(Kind.AGAIN, Reason.POD_DISRUPTED, f"pod {pod.name} was evicted, drained or preempted")
    if is_oom(pod):
        return Verdict(Kind.AGAIN, Reason.OOM_KILLED, f"pod {pod.name} used more memory than its limit")
    if ended.report is not None and _ends_by(ended.report.reason) == ended.exit_code:
        kind = Kind.FINAL if ended.exit_code in FINAL_EXIT_CODES else Kind.AGAIN
        return Verdict(kind, *_unless_killed(pod, ended.report.reason, ended.report.message))
    if ended.exit_code is None:
        why = pod.reason or "it left no exit code"
        return Verdict(Kind.AGAIN, Reason.POD_FAILED, f"pod {pod.name} failed: {why}")
    kind = Kind.FINAL if ended.exit_code in FINAL_EXIT_CODES else Kind.AGAIN
    return Verdict(kind, *_reason_of(pod, ended.exit_code))


def _ends_by(reason: Reason) -> int | None:
    """The exit code of a process that ends by a reason; None for what only a cluster can say."""
    code = REASONS[reason].exit_code
    return None if code in _CLUSTER_ONLY else code


def _unless_killed(pod: PodView, reason: Reason, message: str) -> tuple[Reason, str]:
    """A process that was told to end says Cancelled, although nobody cancelled the session."""
    if reason is Reason.CANCELLED:
        return Reason.POD_FAILED, f"pod {pod.name} was killed"
    return reason, message


def _reason_of(pod: PodView, code: int) -> tuple[Reason, str]:
    """What an exit code alone tells: the termination message is lost."""
    possible = [r for r, info in REASONS.items() if info.exit_code == code]
    message = f"pod {pod.name} ended with exit code {code}"
    if code == REASONS[Reason.CANCELLED].exit_code or code in _CLUSTER_ONLY:
        return Reason.POD_FAILED, message
    if len(possible) == 1:
        return possible[0], message
    known = f", one of {', '.join(possible)}" if possible else ""
    return Reason.POD_FAILED, f"{message}{known}"


def _told(why: str, message: str) -> str:
    return f"{why}: {message}" if message else why
