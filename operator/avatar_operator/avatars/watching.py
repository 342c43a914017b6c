"""An attempt under way: what its Job and pods say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from avatar_core.errors import Reason
from avatar_operator.avatars.objects import AvatarStatus, Prepared, Seen
from avatar_operator.avatars.plan import Plan, say
from avatar_operator.conditions import State
from avatar_operator.objects import JobView, PodView
from avatar_operator.plan import delete_jobs, delete_stuck, earliest, look_again
from avatar_operator.pods import Kind, Verdict, is_oom, judge, stuck_at
from avatar_operator.refusals import next_reading, refusal
from avatar_operator.settings import Settings

OOM_LIMIT = 2
_STEADY = frozenset({Reason.IMAGE_PULL_BACK_OFF, Reason.UNSCHEDULABLE, Reason.QUOTA_EXCEEDED})
"""Their messages count things that change all the time; the first one is kept."""


def attempt_under_way(seen: Seen, status: AvatarStatus, settings: Settings, now: float) -> Plan:
    """What the Job of the attempt asks for; what is concluded of its end is decided on a live picture."""
    job = next((job for job in seen.ours if job.name == status.job_name), None)
    if job is None:
        return _over(status, Reason.RESULT_LOST, f"Job {status.job_name} is gone", now)
    if (prepared := seen.prepared.get(job.uid)) is not None:
        return Plan(_ready(status, prepared, now))
    if job.deleting:
        return Plan(status)
    pods = sorted((pod for pod in seen.pods if pod.job_uid == job.uid), key=lambda pod: pod.created)
    if job.finished:
        return _ended(status, job, pods, settings, now)
    return _watch(seen, status, job, pods, now)


def _ready(status: AvatarStatus, prepared: Prepared, now: float) -> AvatarStatus:
    what = "1 picture" if prepared.pictures == 1 else f"{prepared.pictures} pictures"
    message = f"{what} of {prepared.width}x{prepared.height}"
    return say(replace(status, prepared=prepared), "True", State.PREPARED, message, now)


def _over(status: AvatarStatus, reason: Reason, message: str, now: float) -> Plan:
    return Plan(say(status, "False", reason, message, now), sure=True)


def _ended(
    status: AvatarStatus, job: JobView, pods: Sequence[PodView], settings: Settings, now: float
) -> Plan:
    """A finished Job without a bundle."""
    verdicts = [judge(pod) for pod in pods]
    final = next((verdict for verdict in reversed(verdicts) if verdict.kind is Kind.FINAL), None)
    last = final or (verdicts[-1] if verdicts else None)
    if job.failure == "DeadlineExceeded" and final is None:
        return _out_of_time(status, pods, settings, now)
    if job.finished == "Complete" or last is None or last.reason is None:
        return _over(status, Reason.RESULT_LOST, f"Job {job.name} ended without a word of a bundle", now)
    message = last.message if final else f"{last.message}, the last of {len(pods)}"
    return _over(status, last.reason, message, now)


def _out_of_time(status: AvatarStatus, pods: Sequence[PodView], settings: Settings, now: float) -> Plan:
    how, shown = settings.preparation, status.ready.reason if status.ready else ""
    if any(pod.container.started_at is not None for pod in pods):
        return _over(status, Reason.PREPARATION_TIMEOUT, f"not prepared after {how.timeout} s", now)
    reason = Reason(shown) if shown in set(Reason) else Reason.START_TIMEOUT
    message = f"not running after {how.start_timeout + how.timeout} s"
    return _over(status, reason, message, now)


def _watch(seen: Seen, status: AvatarStatus, job: JobView, pods: Sequence[PodView], now: float) -> Plan:
    verdicts = [(pod, judge(pod)) for pod in pods]
    final = next((verdict for _, verdict in verdicts if verdict.kind is Kind.FINAL), None)
    if final is not None and final.reason is not None:
        return _over(status, final.reason, final.message, now)
    if sum(map(is_oom, pods)) >= OOM_LIMIT:
        plan = _over(status, Reason.OOM_KILLED, f"{OOM_LIMIT} pods used more memory than their limit", now)
        return replace(plan, deletes=delete_jobs([job]))
    if job.suspended:
        return Plan(say(status, "Unknown", Reason.QUEUED, f"Kueue holds Job {job.name}", now))
    running = [(pod, verdict) for pod, verdict in verdicts if not pod.over]
    if not running:
        return _between(seen, status, job, verdicts, now)
    pod, verdict = running[-1]
    stuck = delete_stuck([pod], now)
    going = pod.gone_by is not None
    wake = look_again([pod], now) if going else earliest(now, stuck_at(pod))
    return Plan(_shown(status, verdict, now), deletes=stuck, wake_at=wake)


def _between(
    seen: Seen,
    status: AvatarStatus,
    job: JobView,
    verdicts: Sequence[tuple[PodView, Verdict]],
    now: float,
) -> Plan:
    """No pod lives: the first is not made yet, or the next one, or the Job is about to be finished."""
    last = verdicts[-1][1] if verdicts else Verdict(Kind.STARTING)
    if last.kind is Kind.ENDED:
        return Plan(status)
    refusals = seen.refusals
    if refusals is not None and refusals.message:
        last = Verdict(Kind.WAITING, refusal(refusals.message), refusals.message)
    status = _shown(status, last, now)
    since = max((pod.container.ended_at or pod.created for pod, _ in verdicts), default=job.started)
    reading = next_reading(since or job.created, refusals.read_at if refusals else None)
    if now >= reading:
        return Plan(status, read_refusals=job.name)
    return Plan(status, wake_at=reading)


def _shown(status: AvatarStatus, verdict: Verdict, now: float) -> AvatarStatus:
    """What is waited for, as it is known now."""
    reason, ready = verdict.reason, status.ready
    if reason is None:
        does = "is running" if verdict.kind is Kind.RUNNING else "starts"
        return say(status, "Unknown", State.PREPARING, f"attempt {status.attempt} {does}", now)
    if reason in _STEADY and ready is not None and ready.reason == reason:
        return status
    message = f"{verdict.message}; another pod follows" if verdict.kind is Kind.AGAIN else verdict.message
    return say(status, "Unknown", reason, message, now)
