"""The way from a source to a bundle: one Job after the other, until one tells of a bundle or of a reason."""

from __future__ import annotations

from dataclasses import replace

from avatar_core.errors import REASONS, Actor, Reason
from avatar_operator.avatars.jobs import build_preparation
from avatar_operator.avatars.objects import AvatarStatus, Seen
from avatar_operator.avatars.plan import Plan, say
from avatar_operator.avatars.watching import attempt_under_way
from avatar_operator.conditions import State
from avatar_operator.names import preparation_name
from avatar_operator.objects import JobView
from avatar_operator.plan import delete_jobs, earliest
from avatar_operator.refusals import refusal
from avatar_operator.settings import Settings

JOB_KEPT_SECONDS = 300
"""A finished Job stays so long, for its log."""
RETRY_SECONDS, RETRY_MAX = 60, 3600
LOOK_AGAIN_SECONDS = 30


def prepare(seen: Seen, settings: Settings, now: float) -> Plan:
    """The next step towards the bundle of this generation."""
    status = _known(seen, _of_this_generation(seen), now)
    ready = status.ready
    if ready is not None and ready.truth != "Unknown" and status.job_name:
        if ready.truth == "True":
            return _kept(seen, status, ready.since, now)
        return _failed(seen, status, ready.reason, ready.since, settings, now)
    if not status.job_name:
        return _begin(seen, status, settings, now)
    plan = attempt_under_way(seen, status, settings, now)
    others = delete_jobs(_others(seen, status))
    return replace(plan, deletes=(*others, *plan.deletes))


def worth_retrying(reason: str) -> bool:
    """Whether it may go better with the same spec: by itself, or once an administrator has acted.

    What a newer version gave for a reason, before it was rolled back, tells nothing against it.
    """
    if reason not in set(Reason):
        return True
    info = REASONS[Reason(reason)]
    return info.retry or info.actor is not Actor.USER


def retry_after(attempt: int) -> int:
    """Seconds from the end of an attempt to the next one."""
    return int(min(RETRY_MAX, RETRY_SECONDS * 2 ** min(attempt - 1, 10)))


def _of_this_generation(seen: Seen) -> AvatarStatus:
    """What an older spec came to says nothing, but its bundle stays until there is another one."""
    avatar, status = seen.avatar, seen.avatar.status
    if status.observed_generation == avatar.generation:
        return status
    return replace(status, job_name="", attempt=0)


def _known(seen: Seen, status: AvatarStatus, now: float) -> AvatarStatus:
    """The status with a Job that was created, but not recorded before the operator stopped."""
    attempts = {job.attempt: job for job in seen.ours if job.generation == seen.avatar.generation}
    newest = max(attempts, default=0)
    if newest <= status.attempt:
        return status
    status = replace(status, attempt=newest, job_name=attempts[newest].name)
    return say(status, "Unknown", State.PREPARING, f"attempt {newest} starts", now)


def _others(seen: Seen, status: AvatarStatus) -> tuple[JobView, ...]:
    return tuple(job for job in seen.ours if job.name != status.job_name)


def _kept(seen: Seen, status: AvatarStatus, since: int, now: float) -> Plan:
    """All is made."""
    due = seen.ours if now >= since + JOB_KEPT_SECONDS else _others(seen, status)
    wake = earliest(now, since + JOB_KEPT_SECONDS) if seen.ours else None
    return Plan(status, deletes=delete_jobs(due), wake_at=wake)


def _failed(
    seen: Seen, status: AvatarStatus, reason: str, since: int, settings: Settings, now: float
) -> Plan:
    """Tried again later each time, where that may help."""
    plan = _kept(seen, status, since, now)
    if not worth_retrying(reason):
        return plan
    at = since + retry_after(status.attempt)
    if now >= at:
        return _begin(seen, status, settings, now)
    return replace(plan, wake_at=earliest(now, plan.wake_at, at))


def _begin(seen: Seen, status: AvatarStatus, settings: Settings, now: float) -> Plan:
    avatar, attempt = seen.avatar, status.attempt + 1
    name = preparation_name(avatar.uid, avatar.generation, attempt)
    trouble = _trouble(seen, name)
    if trouble is not None:
        status = say(replace(status, job_name=""), "Unknown", *trouble, now)
        unsure = seen.namespace_terminating or trouble[0] is Reason.JOB_NAME_TAKEN
        return Plan(status, wake_at=now + LOOK_AGAIN_SECONDS if unsure else None, sure=unsure)
    status = replace(status, attempt=attempt, job_name=name)
    return Plan(
        say(status, "Unknown", State.PREPARING, f"attempt {attempt} starts", now),
        create=build_preparation(avatar, attempt, settings),
        deletes=delete_jobs(seen.ours),
    )


def _trouble(seen: Seen, name: str) -> tuple[Reason, str] | None:
    namespace = seen.avatar.namespace
    if seen.namespace_terminating:
        return Reason.NAMESPACE_TERMINATING, f"namespace {namespace} is being deleted"
    if any(job.name == name for job in seen.jobs):
        return Reason.JOB_NAME_TAKEN, f"Job {name} exists and belongs to something else"
    if seen.job_refused:
        return refusal(seen.job_refused), seen.job_refused
    return None
