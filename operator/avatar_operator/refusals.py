"""Why a Job has no pod: FailedCreate events are the only trace of a pod that was never made."""

from __future__ import annotations

from avatar_core.errors import Reason

READ_AFTER = (2, 5, 10)
"""Seconds of a Job's life without a pod after which its events are read."""
READ_EVERY = 30
"""Seconds between later readings."""

_KNOWN = (
    ("violates podsecurity", Reason.POD_SECURITY_VIOLATION),
    ("service account", Reason.SERVICE_ACCOUNT_NOT_FOUND),
    ("exceeded quota", Reason.QUOTA_EXCEEDED),
    ("failed quota", Reason.QUOTA_EXCEEDED),
    ("unable to create new content in namespace", Reason.NAMESPACE_TERMINATING),
)


def refusal(message: str) -> Reason:
    """What a FailedCreate event's message means."""
    text = message.lower()
    return next((reason for mark, reason in _KNOWN if mark in text), Reason.POD_REFUSED)


def next_reading(started: int, read_at: float | None) -> float:
    """When the events of a Job without a pod are to be read next (Unix seconds)."""
    steps = [float(started + after) for after in READ_AFTER]
    if read_at is None:
        return steps[0]
    return next((at for at in steps if at > read_at), max(read_at, steps[-1]) + READ_EVERY)
