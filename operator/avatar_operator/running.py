"""An attempt under way: what its Job and pods say, and the two clocks."""

from __future__ import annotations

from dataclasses import replace

from avatar_core.errors import Reason
from avatar_operator.conditions import State, because, fail, say
from avatar_operator.decision import Deletion, Seat
from avatar_operator.finished import after
from avatar_operator.objects import JobView, PodView
from avatar_operator.observed import Observed
from avatar_operator.outcome import ended, late, vanished
from avatar_operator.plan import Plan, delete_jobs, delete_stuck, earliest, look_again
from avatar_operator.pods import Kind, Verdict, is_oom, judge, stuck_at
from avatar_operator.refusals import next_reading, refusal
from avatar_operator.settings import Settings
from avatar_operator.status import Status, Timings

MARGIN_SECONDS = 5
"""A pod ends itself at `timeoutSeconds`; so long after that it is taken for hung."""
BACKOFF_SECONDS = 30
"""Kubernetes makes the next pod at most so long after one failed."""
OOM_LIMIT = 2
_STEADY = frozenset({Reason.IMAGE_PULL_BACK_OFF, Reason.UNSCHEDULABLE, Reason.QUOTA_EXCEEDED})
"""Their messages count things that change all the time; the first one is kept."""


def follow(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    """What the Job of the attempt under way asks for."""
    job = next((job for job in seen.ours if job.name == status.job_name), None)
    strays = delete_jobs(other for other in seen.ours if other is not job)
    if strays:
        return Plan(status, Seat.HOLDING, deletes=strays)
    if job is None or job.deleting:
        return _going(seen, status, settings, now)
    pods = sorted((pod for pod in seen.pods if pod.job_uid == job.uid), key=lambda pod: pod.created)
    if job.finished:
        return ended(seen, status, job, pods, settings, now)
    if not seen.session.kept:
        return Plan(status, Seat.HOLDING, add_finalizer=True)
    if job.suspended:
        status = say(status, "Unknown", Reason.QUEUED, f"Kueue holds Job {job.name}", now)
        return Plan(status)
    return _watch(seen, status, job, pods, settings, now)


def _going(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    """The Job is deleted. While its pods end they may still report, so nothing is concluded yet."""
    if seen.pods_alive or any(job.name == status.job_name for job in seen.ours):
        deletes = delete_stuck(seen.pods_alive, now)
        return Plan(status, Seat.HOLDING, deletes=deletes, wake_at=look_again(seen.pods_alive, now))
    return vanished(seen, status, settings, now)


def _watch(
    seen: Observed, status: Status, job: JobView, pods: list[PodView], settings: Settings, now: float
) -> Plan:
    verdicts = [(pod, judge(pod)) for pod in pods]
    final = next((verdict for _, verdict in verdicts if verdict.kind is Kind.FINAL), None)
    if final is not None and final.reason is not None:
        return after(seen, fail(status, final.reason, final.message, now), settings, now)
    if sum(map(is_oom, pods)) >= OOM_LIMIT:
        message = f"{OOM_LIMIT} pods used more memory than their limit"
        return after(seen, fail(status, Reason.OOM_KILLED, message, now), settings, now)
    running = [(pod, verdict) for pod, verdict in verdicts if not pod.over]
    if not running:
        return _between(seen, status, job, verdicts, settings, now)
    pod, verdict = running[-1]
    since = _last_end(pods) or job.started or job.created
    if verdict.kind is Kind.LOST or ((at := stuck_at(pod)) is not None and now >= at):
        return _lost(seen, status, job, pod, since, now)
    if verdict.kind is Kind.RUNNING:
        return _run(seen, status, job, pod, now)
    return _start(seen, status, verdict, since, settings, now)


def _run(seen: Observed, status: Status, job: JobView, pod: PodView, now: float) -> Plan:
    """A running container has `timeoutSeconds`, which it keeps itself; the operator is the backstop."""
    started = pod.container.started_at or pod.created
    timings = Timings(max(0, job.created - seen.session.created), max(0, started - job.created))
    status = replace(_progressed(seen, status), started_at=started, timings=timings)
    limit = started + seen.session.spec.timeout + MARGIN_SECONDS
    if now >= limit:
        status = say(status, "Unknown", Reason.DEADLINE_EXCEEDED, late(seen, status), now)
        return Plan(status, Seat.HOLDING, deletes=delete_jobs([job]))
    status = say(status, "Unknown", State.RUNNING, f"attempt {status.attempt} is running", now)
    return Plan(status, Seat.HOLDING, wake_at=earliest(now, limit, stuck_at(pod)))


def _start(
    seen: Observed, status: Status, verdict: Verdict, since: int, settings: Settings, now: float
) -> Plan:
    """A pod, or a Job without one, has `startTimeoutSeconds` until its container runs."""
    seconds = seen.session.spec.start_timeout
    if now >= since + seconds:
        waiting = verdict.reason if verdict.kind is Kind.WAITING else None
        reason = waiting or Reason.START_TIMEOUT
        message = f"not running after {seconds} s{': ' if verdict.message else ''}{verdict.message}"
        return after(seen, fail(status, reason, message, now), settings, now)
    return Plan(_shown(status, verdict, now), Seat.HOLDING, wake_at=since + seconds)


def _lost(seen: Observed, status: Status, job: JobView, pod: PodView, since: int, now: float) -> Plan:
    """A pod whose node is silent: replaced by another attempt once it is evicted, or its time is over."""
    spec, started = seen.session.spec, pod.container.started_at
    limit = since + spec.start_timeout if started is None else started + spec.timeout + MARGIN_SECONDS
    message = f"the node of pod {pod.name} does not answer"
    status = say(_progressed(seen, status), "Unknown", Reason.NODE_LOST, message, now)
    gone = stuck_at(pod)
    if now >= limit or (gone is not None and now >= gone):
        lost = Deletion("Pod", pod.name, pod.uid, grace=0)
        return Plan(status, Seat.HOLDING, deletes=(*delete_jobs([job]), lost))
    return Plan(status, Seat.HOLDING, wake_at=earliest(now, limit, gone))


def _between(
    seen: Observed,
    status: Status,
    job: JobView,
    verdicts: list[tuple[PodView, Verdict]],
    settings: Settings,
    now: float,
) -> Plan:
    """No pod lives: the first is not made yet, or the next one, or the Job is about to be complete."""
    last = verdicts[-1][1] if verdicts else Verdict(Kind.STARTING)
    if last.kind is Kind.ENDED:
        return Plan(status, Seat.HOLDING)
    ended_at = _last_end([pod for pod, _ in verdicts])
    since = ended_at + BACKOFF_SECONDS if ended_at else job.started or job.created
    refusals = seen.refusals
    if refusals is not None and refusals.message:
        last = Verdict(Kind.WAITING, refusal(refusals.message), refusals.message)
    plan = _start(seen, status, last, since, settings, now)
    if plan.status is not None and plan.status.finished:
        return plan
    reading = next_reading(since, refusals.read_at if refusals else None)
    if now >= reading:
        return replace(plan, read_refusals=job.name)
    return replace(plan, wake_at=earliest(now, plan.wake_at, reading))


def _shown(status: Status, verdict: Verdict, now: float) -> Status:
    """What is waited for, as it is known now."""
    reason = verdict.reason
    if reason is None:
        return say(status, "Unknown", State.STARTING, f"attempt {status.attempt} starts", now)
    if reason in _STEADY and because(status) == reason:
        return status
    message = f"{verdict.message}; another pod follows" if verdict.kind is Kind.AGAIN else verdict.message
    return say(status, "Unknown", reason, message, now)


def _progressed(seen: Observed, status: Status) -> Status:
    posted = seen.progress
    if posted is None or posted.attempt != status.attempt:
        return status
    return replace(status, stage=posted.stage, progress=posted.progress)


def _last_end(pods: list[PodView]) -> int | None:
    ends = [pod.container.ended_at or pod.created for pod in pods if pod.over]
    return max(ends, default=None)
