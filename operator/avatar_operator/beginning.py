"""The way to a Job: what the session names, its turn, then one Job for one attempt."""

from __future__ import annotations

from dataclasses import replace

from avatar_core.errors import Reason
from avatar_operator.conditions import REFERENCES, State, because, fail, say, say_video
from avatar_operator.decision import Seat
from avatar_operator.finished import after
from avatar_operator.jobs import active_deadline, build_job
from avatar_operator.names import job_name
from avatar_operator.observed import CleanState, Observed
from avatar_operator.plan import Plan, clearing, earliest
from avatar_operator.references import Trouble, missing
from avatar_operator.refusals import refusal
from avatar_operator.resolved import Inputs
from avatar_operator.settings import Settings
from avatar_operator.status import Status, Video

TERMINATING_SECONDS = 30
"""So often it is looked whether a namespace is still being deleted: another one of its name may have come."""


def begin(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    """The next step towards the Job of attempt `status.attempt` + 1."""
    if (plan := clearing(seen, _soon(status, now), now)) is not None:
        # A place is kept, but what is over and in the way takes none.
        return replace(plan, seat=Seat.HOLDING) if seen.place.admitted else plan
    if seen.clean.state is CleanState.RUNNING:
        # It would delete what the attempt writes. Its end is an event of its own.
        return Plan(_soon(status, now))
    if (trouble := _trouble(seen, status)) is not None:
        return _wait(seen, status, trouble, settings, now)
    status = replace(status, waiting_since=None)
    if not seen.session.queue and not seen.place.admitted:
        return _in_line(seen, status, now)
    return _create(seen, status, settings, now)


def _soon(status: Status, now: float) -> Status:
    message = f"attempt {status.attempt + 1} begins once nothing of the last one is left"
    return say(status, "Unknown", State.STARTING, message, now)


def _trouble(seen: Observed, status: Status) -> Trouble | None:
    if seen.namespace_terminating:
        return Trouble(Reason.NAMESPACE_TERMINATING, f"namespace {seen.session.namespace} is being deleted")
    name = job_name(seen.session.uid, status.attempt + 1)
    if any(job.name == name for job in seen.jobs):
        return Trouble(Reason.JOB_NAME_TAKEN, f"Job {name} exists and belongs to something else")
    if (trouble := missing(seen)) is not None:
        return trouble
    if seen.job_refused:
        return Trouble(refusal(seen.job_refused), seen.job_refused)
    return None


def _wait(seen: Observed, status: Status, trouble: Trouble, settings: Settings, now: float) -> Plan:
    """Waiting is not failing, until `startTimeoutSeconds` have passed since something was first missing."""
    waits_already = because(status) in REFERENCES and status.waiting_since is not None
    since = status.waiting_since if waits_already and status.waiting_since is not None else int(now)
    limit = since + seen.session.spec.start_timeout
    ending = seen.namespace_terminating
    if now >= limit:
        failed = after(seen, fail(status, trouble.reason, trouble.message, now), settings, now)
        return replace(failed, sure=failed.sure or ending)
    status = say(status, "Unknown", trouble.reason, trouble.message, now)
    again = now + TERMINATING_SECONDS if ending else None
    return Plan(
        replace(status, waiting_since=since, queue_position=None),
        wake_at=earliest(now, limit, again),
        sure=ending,
    )


def _in_line(seen: Observed, status: Status, now: float) -> Plan:
    status = say(status, "Unknown", Reason.WAITING_FOR_CAPACITY, "other sessions come first", now)
    position = seen.place.position if seen.place.position is not None else status.queue_position
    return Plan(replace(status, queue_position=position), Seat.WAITING)


def _create(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    session, attempt = seen.session, status.attempt + 1
    inputs = Inputs(seen.avatar, seen.provider, seen.history.turns if session.spec.continue_from else ())
    expires = int(now) + active_deadline(session.spec) + session.spec.video_ttl
    url = settings.links.url(session.namespace, session.uid, expires)
    begun = replace(
        status,
        attempt=attempt,
        avatar=seen.avatar.bundle,
        job_name=job_name(session.uid, attempt),
        observed_retry=max(status.observed_retry, session.spec.retry),
        stage="",
        progress=None,
        queue_position=None,
        started_at=None,
        video=Video(url, expires),
        timings=None,
    )
    begun = say(begun, "Unknown", State.STARTING, f"attempt {attempt} starts", now)
    begun = say_video(begun, "Unknown", State.PENDING, "it can be watched as it is made", now)
    return Plan(
        begun,
        Seat.HOLDING,
        add_finalizer=not session.kept,
        create=build_job(session, attempt, inputs, settings),
        sure=status.attempt > 0,
    )
