"""A session whose outcome is known: its Job goes, its video expires, at last it goes itself."""

from __future__ import annotations

from dataclasses import replace

from avatar_core.errors import Reason
from avatar_operator.cleaning import clean, cleaned
from avatar_operator.conditions import NO_VIDEO, State, say_video
from avatar_operator.decision import Deletion
from avatar_operator.objects import JobView
from avatar_operator.observed import Observed
from avatar_operator.plan import Plan, clearing, delete_jobs, delete_stuck, earliest, look_again, seat
from avatar_operator.pods import Kind, judge
from avatar_operator.settings import Settings
from avatar_operator.status import VIDEO_AVAILABLE, Status

JOB_KEPT_SECONDS = 300
"""A succeeded Job stays this long, for its log; a failed one until the video would expire."""
FAILING_SECONDS = 10
"""How long a Job whose pod ended for good may take to be told so by its controller."""


def after(seen: Observed, status: Status, settings: Settings, now: float) -> Plan:
    """What follows once `Succeeded` is true or false."""
    completed = status.completed_at or 0
    spec = seen.session.spec
    if spec.session_ttl is not None and now >= completed + spec.session_ttl:
        session = seen.session
        return Plan(status, seat(seen), deletes=(Deletion("AvatarSession", session.name, session.uid),))
    watchable = _watchable(status)
    if watchable and not seen.session.kept:
        # Somebody took it off; the video would be left behind.
        return Plan(status, seat(seen), add_finalizer=True)
    if now >= completed + spec.video_ttl and seen.session.kept:
        return _expired(seen, status, now)
    if watchable:
        status = _with_ttl(seen, status, completed + spec.video_ttl, settings)
    return _keeping(seen, status, completed, now)


def _keeping(seen: Observed, status: Status, completed: int, now: float) -> Plan:
    """Until the video expires."""
    spec = seen.session.spec
    due, later = _due_jobs(seen, status, completed, now)
    expiry = completed + spec.video_ttl if seen.session.kept else None
    deletion = completed + spec.session_ttl if spec.session_ttl is not None else None
    again = look_again(seen.pods_alive, now) if seen.pods_alive else None
    return Plan(
        status,
        seat(seen),
        deletes=delete_jobs(due) + delete_stuck(seen.pods_alive, now),
        wake_at=earliest(now, later, expiry, deletion, again),
    )


def _due_jobs(
    seen: Observed, status: Status, completed: int, now: float
) -> tuple[tuple[JobView, ...], float | None]:
    """Jobs that go now, and when others follow."""
    if _made(status):
        at = completed + JOB_KEPT_SECONDS
        return (seen.ours, None) if now >= at else ((), at if seen.ours else None)
    running = tuple(job for job in seen.ours if not job.finished)
    ending = not seen.pods_alive and any(judge(pod).kind is Kind.FINAL for pod in seen.pods)
    at = completed + FAILING_SECONDS
    return ((), at) if running and ending and now < at else (running, None)


def _expired(seen: Observed, status: Status, now: float) -> Plan:
    """Nothing younger is ever touched; Jobs and pods go first, so nothing comes after the clean-up."""
    if (plan := clearing(seen, status, now)) is not None:
        return plan
    if not cleaned(seen, status):
        return clean(seen, status, now)
    if _made(status):
        message = f"deleted {seen.session.spec.video_ttl} s after it was made"
        status = say_video(status, "False", Reason.VIDEO_EXPIRED, message, now)
        status = replace(status, video=replace(status.video, url="") if status.video else None)
    else:
        status = say_video(status, "False", State.NOT_MADE, NO_VIDEO, now)
    return Plan(status, drop_finalizer=True)


def _with_ttl(seen: Observed, status: Status, expires: int, settings: Settings) -> Status:
    """A changed TTL moves the expiry and needs a link that is good as long."""
    if status.video is None or status.video.expires_at == expires:
        return status
    url = settings.links.url(seen.session.namespace, seen.session.uid, expires)
    return replace(status, video=replace(status.video, url=url, expires_at=expires))


def _watchable(status: Status) -> bool:
    video = status.condition(VIDEO_AVAILABLE)
    return video is not None and video.truth == "True"


def _made(status: Status) -> bool:
    return status.succeeded is not None and status.succeeded.truth == "True"
