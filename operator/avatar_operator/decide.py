"""One session: what is seen, what is to be done. Pure: no clock, no I/O, no memory."""

from __future__ import annotations

from dataclasses import replace

from avatar_core.errors import Reason
from avatar_operator.beginning import begin
from avatar_operator.cleaning import current
from avatar_operator.conditions import State, because, fail, is_alarming, say, settle
from avatar_operator.decision import Decision, Note, Seat
from avatar_operator.deleting import leaving
from avatar_operator.finished import after
from avatar_operator.observed import CleanState, Observed
from avatar_operator.outcome import succeed
from avatar_operator.plan import Plan, clearing, seat
from avatar_operator.running import follow
from avatar_operator.settings import Settings
from avatar_operator.status import VIDEO_AVAILABLE, Status

ASK_AGAIN_SECONDS = 2


def reconcile(seen: Observed, settings: Settings, now: float) -> Decision:
    """Decides what is to be done about a session.

    Args:
        seen: the session and everything about it.
        settings: of the administrator.
        now: Unix seconds.

    Returns:
        A Decision; empty when all is as it should be. What can't be undone is decided on a live picture
        only: on one from caches the decision is to look. No attempt is given up before the store was asked
        for its result, where it can be.
    """
    plan = _plan(seen, settings, now)
    if not seen.live and (plan.needs_live or _gives_up_unseen(seen, plan)):
        return Decision(look=True)
    if _ends_unheard(seen, plan, settings, now):
        held = Seat.HOLDING if seat(seen) is Seat.HOLDING else None
        return Decision(ask_store=True, seat=held, wake_at=now + ASK_AGAIN_SECONDS)
    before = seen.session.status
    status = plan.status and settle(plan.status, seen.session.generation)
    changed = status is not None and status != before
    return Decision(
        add_finalizer=plan.add_finalizer,
        create=plan.create,
        status=status if changed else None,
        notes=notes(before, status) if status is not None and changed else (),
        deletes=plan.deletes,
        clean=plan.clean,
        drop_finalizer=plan.drop_finalizer,
        read_refusals=plan.read_refusals,
        seat=Seat.OUT if seen.session.queue else plan.seat,  # Kueue is a line of its own
        wake_at=plan.wake_at,
    )


def _gives_up_unseen(seen: Observed, plan: Plan) -> bool:
    """Whether a place would be given up because caches show nothing, rather than a Job that is over."""
    over = any(job.finished and job.attempt >= seen.session.status.attempt for job in seen.ours)
    return plan.seat is Seat.OUT and seen.place.admitted and not over


def _ends_unheard(seen: Observed, plan: Plan, settings: Settings, now: float) -> bool:
    """Whether an attempt is given up whose result may be in the store, although no pod could tell of it.

    Who cancels wants none.
    """
    before, after = seen.session.status, plan.status
    if settings.store_patience is None or after is None or before.finished or not after.attempt:
        return False
    fails = after.finished and because(after) not in {State.SUCCEEDED, Reason.CANCELLED}
    lost = after.lost_attempts > before.lost_attempts
    if not (fails or lost) or not _undisturbed(seen, before):
        return False
    if seen.asked is None:
        return True
    since = seen.asked.silent_since
    if since is None:
        return seen.asked.later
    return now < since + settings.store_patience


def notes(before: Status, after: Status) -> tuple[Note, ...]:
    """One Event a transition: of the outcome, else of the video."""
    for kind in ("Succeeded", VIDEO_AVAILABLE):
        old, new = before.condition(kind), after.condition(kind)
        if new is None or (old is not None and (old.truth, old.reason) == (new.truth, new.reason)):
            continue
        if kind == VIDEO_AVAILABLE and new.reason not in {Reason.VIDEO_EXPIRED, Reason.CLEANUP_FAILED}:
            continue
        return (Note("Warning" if is_alarming(new.reason) else "Normal", new.reason, new.message),)
    return ()


def _plan(seen: Observed, settings: Settings, now: float) -> Plan:
    session, status = seen.session, seen.session.status
    if session.deleting:
        return leaving(seen, now)
    if status.finished:
        if not _asked_again(seen):
            return after(seen, status, settings, now)
        status = _reopened(seen, now)
    return _attempt(seen, _known(seen, status), settings, now)


def _attempt(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    """A session whose outcome is open. A result wins over whatever else has happened meanwhile."""
    session, spec = seen.session, seen.session.spec
    if seen.result is not None and _undisturbed(seen, status):
        return after(seen, succeed(seen, status, seen.result, settings, now), settings, now)
    if session.invalid:
        return after(seen, fail(status, Reason.INVALID_SPEC, session.invalid, now), settings, now)
    if spec.cancel:
        return after(seen, fail(status, Reason.CANCELLED, "spec.cancel is set", now), settings, now)
    if spec.suspend:
        return _suspended(seen, status, now)
    if status.job_name:
        return follow(seen, status, settings, now)
    return begin(seen, status, settings, now)


def _suspended(seen: Observed, status: Status, now: float) -> Plan:
    """Nothing of it runs and no clock does. Finished stages stay in the store; resuming is a new attempt."""
    status = replace(status, job_name="", queue_position=None, waiting_since=None, started_at=None)
    status = say(status, "Unknown", Reason.SUSPENDED, "spec.suspend is set", now)
    return clearing(seen, status, now) or Plan(status)


def _known(seen: Observed, status: Status) -> Status:
    """The status with a Job that was created, but not recorded before the operator stopped."""
    newest = max(seen.ours, key=lambda job: job.attempt, default=None)
    if newest is None or newest.attempt <= status.attempt:
        return status
    return replace(status, attempt=newest.attempt, job_name=newest.name)


def _asked_again(seen: Observed) -> bool:
    """Whether `retry` has grown since the last attempt began; while that one ran counts too."""
    session = seen.session
    outcome = session.status.succeeded
    failed = outcome is not None and outcome.truth == "False"
    return failed and not session.spec.cancel and session.spec.retry > session.status.observed_retry


def _reopened(seen: Observed, now: float) -> Status:
    """`retry` has grown: the outcome is open again, and what was kept of finished stages is used."""
    status = replace(
        seen.session.status,
        job_name="",
        lost_attempts=0,
        observed_retry=seen.session.spec.retry,
        completed_at=None,
    )
    return say(status, "Unknown", State.STARTING, f"attempt {status.attempt + 1} was asked for", now)


def _undisturbed(seen: Observed, status: Status) -> bool:
    """Whether what a result speaks of is still in the store."""
    return seen.session.kept and current(seen, status).state is CleanState.NONE
