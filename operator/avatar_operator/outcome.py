"""How an attempt ended, and what follows: success, a typed failure, or one more attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from avatar_core.errors import Reason
from avatar_operator.beginning import begin
from avatar_operator.conditions import State, because, fail, say, say_video
from avatar_operator.decision import Seat
from avatar_operator.finished import after
from avatar_operator.objects import JobView, PodView
from avatar_operator.observed import Observed
from avatar_operator.plan import Plan
from avatar_operator.pods import Kind, judge
from avatar_operator.settings import Settings
from avatar_operator.status import Progress, Result, Status, Timings, Video

LOST_LIMIT = 2
LOST_UNSTARTED_LIMIT = 5
"""For attempts whose container never ran: they had no chance to find `result.json`."""


def succeed(seen: Observed, status: Status, result: Result, settings: Settings, now: float) -> Status:
    """The status of a session whose video is published."""
    session = seen.session
    expires = int(now) + session.spec.video_ttl
    link = status.video
    # A link that was given away while the video was made stays, where it is good for long enough.
    keep = link is not None and link.url and link.expires_at >= expires
    url = link.url if link and keep else settings.links.url(session.namespace, session.uid, expires)
    file, known = result.file, status.timings or Timings()
    status = replace(
        status,
        stage="publish",
        progress=Progress(file.bytes, file.bytes, 100),
        queue_position=None,
        waiting_since=None,
        lost_attempts=0,
        completed_at=int(now),
        video=Video(url, expires, file),
        timings=replace(
            known,
            first_frame_seconds=result.first_frame_seconds,
            total_seconds=result.total_seconds,
            stages=result.stages,
        ),
        avatar="",
        made=result.made,
    )
    status = say(status, "True", State.SUCCEEDED, f"a video of {file.seconds:.1f} s is published", now)
    return say_video(status, "True", State.PUBLISHED, "it can be fetched until it expires", now)


def ended(
    seen: Observed,
    status: Status,
    job: JobView,
    pods: Sequence[PodView],
    settings: Settings,
    now: float,
) -> Plan:
    """A finished Job. Its result would have been posted or left in a termination message by now."""
    if seen.pods_alive:
        return Plan(status, Seat.HOLDING, sure=True)
    verdicts = [judge(pod) for pod in pods]
    starts = [at for pod in pods if (at := pod.container.started_at) is not None]
    status = replace(status, started_at=max(starts, default=status.started_at))
    if job.finished == "Complete" or any(verdict.kind is Kind.ENDED for verdict in verdicts):
        return _lost(seen, status, settings, now)
    failed = next((v for v in reversed(verdicts) if v.kind is Kind.FINAL), None)
    failed = failed or (verdicts[-1] if verdicts else None)
    if job.failure == "DeadlineExceeded" and (failed is None or failed.kind is not Kind.FINAL):
        return _out_of_time(seen, status, settings, now)
    if failed is None or failed.reason is None:
        return _lost(seen, status, settings, now)
    message = failed.message if failed.kind is Kind.FINAL else f"{failed.message}, the last of {len(pods)}"
    return _failed(seen, fail(status, failed.reason, message, now), settings, now)


def vanished(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    """The Job and its pods are gone: by our own hand for a reason that is in the status, or by another's."""
    why = because(status)
    if why == Reason.DEADLINE_EXCEEDED:
        return _failed(seen, fail(status, Reason.DEADLINE_EXCEEDED, late(seen, status), now), settings, now)
    if why == Reason.NODE_LOST:
        return _again(seen, status, settings, now)
    return _lost(seen, status, settings, now)


def late(seen: Observed, status: Status) -> str:
    """Where a session was when its time ran out."""
    where = f" in stage {status.stage}" if status.stage else ""
    percent = f" at {status.progress.percent} %" if status.progress else ""
    return f"time ran out after {seen.session.spec.timeout} s{where}{percent}"


def _out_of_time(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    """Kubernetes itself ended the Job: no operator was there to do so earlier, nor to hear of a result."""
    if status.started_at is not None:
        return _lost(seen, status, settings, now, Reason.DEADLINE_EXCEEDED, late(seen, status))
    shown = because(status)
    waited = Reason(shown) if shown in set(Reason) else Reason.START_TIMEOUT
    message = f"not running after {seen.session.spec.start_timeout} s"
    return _failed(seen, fail(status, waited, message, now), settings, now)


def _failed(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    return replace(after(seen, status, settings, now), sure=True)


def _lost(
    seen: Observed,
    status: Status,
    settings: Settings,
    now: float,
    reason: Reason = Reason.RESULT_LOST,
    message: str = "attempts ended or vanished without a result, again and again",
) -> Plan:
    """No result and no word from a process: the next attempt finds `result.json`, if it was committed.

    `reason` and `message` are how the session ends when there was such an attempt already.
    """
    lost = status.lost_attempts + 1
    if lost >= (LOST_LIMIT if status.started_at is not None else LOST_UNSTARTED_LIMIT):
        return _failed(seen, fail(status, reason, message, now), settings, now)
    return _again(seen, replace(status, lost_attempts=lost), settings, now)


def _again(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    plan = begin(seen, replace(status, job_name=""), settings, now)
    return replace(plan, sure=True)
