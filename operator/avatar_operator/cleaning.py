"""Emptying a session's folder in the store, once nothing can write to it any more."""

from __future__ import annotations

from avatar_core.errors import Reason
from avatar_operator.conditions import say_video
from avatar_operator.observed import Clean, CleanState, Observed
from avatar_operator.plan import Plan
from avatar_operator.status import Status

BACKOFF_SECONDS, BACKOFF_MAX = 10, 600


def current(seen: Observed, status: Status) -> Clean:
    """What is known of the clean-up after the last attempt; an older one says nothing."""
    return seen.clean if seen.clean.attempt == status.attempt else Clean()


def cleaned(seen: Observed, status: Status) -> bool:
    """Whether nothing of the session is left in the store."""
    return current(seen, status).state is CleanState.DONE


def clean(seen: Observed, status: Status, now: float) -> Plan:
    """The next step towards an empty folder; a failure is shown and tried again, later each time."""
    known = current(seen, status)
    if known.state is CleanState.RUNNING:
        return Plan(status)
    if known.state is not CleanState.FAILED:
        return Plan(status, clean=True)
    status = say_video(status, "Unknown", Reason.CLEANUP_FAILED, known.message, now)
    again = known.failed_at + min(BACKOFF_MAX, BACKOFF_SECONDS * 2 ** (min(known.tries, 10) - 1))
    if now >= again:
        return Plan(status, clean=True)
    return Plan(status, wake_at=again)
