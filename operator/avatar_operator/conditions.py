"""Conditions, each with a typed reason and its advice; a session's `Succeeded` is Unknown until the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from avatar_core.errors import REASONS, Actor, Reason
from avatar_operator.status import SUCCEEDED, VIDEO_AVAILABLE, Condition, Status, Truth

MESSAGE_LENGTH = 1024
NO_VIDEO = "the session made no video"


class State(StrEnum):
    """Reasons of conditions when nothing is wrong."""

    STARTING = "Starting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    PENDING = "Pending"
    PUBLISHED = "Published"
    NOT_MADE = "NotMade"
    PREPARING = "Preparing"
    PREPARED = "Prepared"
    IN_USE = "InUse"
    ACCEPTED = "Accepted"


REFERENCES = frozenset(
    {
        Reason.AVATAR_NOT_FOUND,
        Reason.AVATAR_NOT_READY,
        Reason.PROVIDER_NOT_FOUND,
        Reason.PROVIDER_NOT_READY,
        Reason.HISTORY_NOT_FOUND,
        Reason.HISTORY_NOT_READY,
        Reason.JOB_NAME_TAKEN,
        Reason.NAMESPACE_TERMINATING,
        Reason.QUOTA_EXCEEDED,
        Reason.POD_REFUSED,
    }
)
"""Reasons for which no Job is made; all of them together are given `startTimeoutSeconds`."""


def say(status: Status, truth: Truth, reason: Reason | State, message: str, now: float) -> Status:
    """The status with another `Succeeded`; a Reason's advice is added to the message."""
    return _with(status, SUCCEEDED, truth, reason, message, now)


def say_video(status: Status, truth: Truth, reason: Reason | State, message: str, now: float) -> Status:
    """The status with another `VideoAvailable`."""
    return _with(status, VIDEO_AVAILABLE, truth, reason, message, now)


def fail(status: Status, reason: Reason, message: str, now: float) -> Status:
    """The session ends without a video. The stage stays: it says where."""
    status = say(status, "False", reason, message, now)
    status = say_video(status, "False", State.NOT_MADE, NO_VIDEO, now)
    return replace(
        status, completed_at=int(now), video=None, queue_position=None, waiting_since=None, lost_attempts=0
    )


def because(status: Status) -> str:
    """The reason of `Succeeded`; empty at the beginning."""
    return status.succeeded.reason if status.succeeded else ""


def settle(status: Status, generation: int) -> Status:
    """The status as it is written: it speaks of `generation`, and its phase follows from the rest."""
    conditions = tuple(replace(condition, generation=generation) for condition in status.conditions)
    return replace(status, conditions=conditions, observed_generation=generation, phase=_phase(status))


def _with(
    status: Status, kind: str, truth: Truth, reason: Reason | State, message: str, now: float
) -> Status:
    changed = with_condition(status.conditions, kind, truth, reason, message, now)
    return replace(status, conditions=tuple(sorted(changed, key=lambda c: c.type != SUCCEEDED)))


def with_condition(
    conditions: Sequence[Condition], kind: str, truth: Truth, reason: Reason | State, message: str, now: float
) -> tuple[Condition, ...]:
    """The conditions with another one of that type; it is as old as its status."""
    others = [condition for condition in conditions if condition.type != kind]
    before = next((condition for condition in conditions if condition.type == kind), None)
    since = before.since if before is not None and before.truth == truth else int(now)
    return (*others, Condition(kind, truth, reason, _advised(reason, message), since))


_CALM = frozenset({Reason.SUSPENDED, Reason.CANCELLED, Reason.VIDEO_EXPIRED})


def is_alarming(reason: str) -> bool:
    """Whether an Event of this reason is a warning: somebody has to act, and did not ask for it."""
    if reason in set(State) or reason in _CALM:
        return False
    return REASONS[Reason(reason)].actor is not Actor.NOBODY


def _advised(reason: Reason | State, message: str) -> str:
    if isinstance(reason, State):
        return message[:MESSAGE_LENGTH]
    advice = REASONS[reason].advice
    room = MESSAGE_LENGTH - len(advice) - 2
    return f"{message[:room].rstrip('. ')}. {advice}" if message else advice


def _phase(status: Status) -> str:
    outcome = status.succeeded
    if outcome is None:
        return "Pending"
    if outcome.truth == "True":
        return "Succeeded"
    if outcome.truth == "False":
        return "Cancelled" if outcome.reason == Reason.CANCELLED else "Failed"
    if outcome.reason == Reason.SUSPENDED:
        return "Suspended"
    if not status.job_name:
        return "Pending"
    return "Running" if outcome.reason == State.RUNNING else "Starting"
