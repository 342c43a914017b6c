"""How a session is, as a page for a person. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from avatar_cli.cluster.picture import Happening, Picture
from avatar_cli.cluster.session import Session, reason_of, said, who
from avatar_cli.cluster.story import UNITS, waits_for
from avatar_cli.progress import TITLES, StageProgress, amount
from avatar_core.errors import REASONS
from avatar_core.mistakes import printable
from avatar_core.resources import Condition, StageTiming, Timings
from avatar_core.tracing import trace_id_of

_WIDTH, _BAR = 80, 28


def page(picture: Picture, now: datetime) -> str:
    """All that is known, in lines of at most 80 columns; links and names may be longer."""
    session = picture.session
    parts = [
        [f"{session.name} in namespace {session.namespace}", *_facts(picture)],
        ["Conditions", *_conditions(session, now)],
        ["Timings", *timing_lines(session)],
        ["Video", *_video(session, now)],
        ["Events", *_events(picture.events, picture.hidden, now)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if len(part) > 1)


def video_line(session: Session) -> str:
    """Size, frames, length and bytes of a video; empty while there is none."""
    video = session.status.video
    if video is None or video.bytes is None:
        return ""
    size = f"{video.width}x{video.height}, " if video.width and video.height else ""
    seconds, kilobytes = video.seconds or 0, video.bytes / 1000
    return f"{size}{video.frames} frames at {video.fps}/s, {seconds:.1f} s, {kilobytes:.0f} kB"


def expiry(session: Session, now: datetime) -> str:
    """When the video is deleted."""
    video = session.status.video
    if video is None or video.expires_at is None:
        return ""
    left = video.expires_at - now
    at = video.expires_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{at}, in {span(left)}" if left > timedelta() else f"{at}, {span(-left)} ago"


def timing_lines(session: Session) -> Iterator[str]:
    """Each stage as a bar on one scale of seconds, since they overlap; then the rest."""
    timings = session.status.timings
    if timings is None:
        return
    stages = [(stage, time) for stage in UNITS if (time := getattr(timings, stage)) is not None]
    whole = max((time.end for _, time in stages), default=0.0) or 1.0
    for stage, time in stages:
        first = f", first after {time.first - time.begin:.2f} s" if time.first > time.begin else ""
        bar = f"|{_bar(time, whole)}|"
        yield f"  {TITLES[stage]:<8} {bar} {time.begin:6.2f} to {time.end:6.2f} s{first}"
    if rest := _rest(timings):
        yield f"  {rest}"


def _bar(time: StageTiming, whole: float) -> str:
    """Where a stage lies on the scale; one that took no time is still seen."""
    begin = min(int(time.begin / whole * _BAR), _BAR - 1)
    end = max(begin + 1, min(_BAR, round(time.end / whole * _BAR)))
    return f"{' ' * begin}{'#' * (end - begin)}{' ' * (_BAR - end)}"


def _rest(timings: Timings) -> str:
    parts = {
        "in line": timings.queue_seconds,
        "starting": timings.start_seconds,
        "to the first picture": timings.first_frame_seconds,
        "in all": timings.total_seconds,
    }
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts.items() if seconds is not None)


def span(time: timedelta) -> str:
    """A time in its two largest units: "3 s", "4 min 5 s", "2 h 10 min", "3 d 4 h"."""
    left = max(0, int(time.total_seconds()))
    parts = []
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= seconds:
            parts.append(f"{left // seconds} {unit}")
            left %= seconds
    return " ".join(parts[:2]) or "0 s"


def _facts(picture: Picture) -> Iterator[str]:
    session, status = picture.session, picture.session.status
    note = "" if session.over else waits_for(session)
    facts = {
        "phase": (status.phase or "Pending") + (" (being deleted)" if session.deleting else ""),
        "stage": _stage(session),
        "waits": note,
        "attempt": _attempt(session),
        "trace": trace_id_of(session.uid, status.attempt) if status.attempt else "",
        "Job": picture.job,
        "pod": picture.pod,
        "engine": printable(status.engine or ""),
        "reply": " ".join(printable(status.reply or "").split()),
    }
    for name, text in facts.items():
        if text:
            yield from _row(name, text)
    for note in status.notes:
        yield from _row("note", printable(note))


def _stage(session: Session) -> str:
    status = session.status
    if not status.stage:
        return ""
    title = TITLES.get(status.stage, status.stage)
    progress = status.progress
    if progress is None or session.outcome:
        return title
    shown = StageProgress(status.stage, UNITS[status.stage], 0, 0, done=progress.done, total=progress.total)
    return f"{title}, {progress.percent} %, {amount(shown)}"


def _attempt(session: Session) -> str:
    number = session.status.attempt
    if not number:
        return ""
    lost = f", {session.status.lost_attempts} lost" if session.status.lost_attempts else ""
    asked = f" (spec.retry {session.retry})" if session.retry else ""
    return f"{number}{asked}{lost}"


def _conditions(session: Session, now: datetime) -> Iterator[str]:
    for one in session.status.conditions:
        since = span(now - one.last_transition_time)
        yield f"  {one.type:<16} {one.status:<8} {one.reason}, for {since}"
        yield from _wrapped(said(one), 4)
        yield from _advice(one)


def _advice(condition: Condition) -> Iterator[str]:
    reason = reason_of(condition)
    if reason is not None:
        again = " Trying again may help." if REASONS[reason].retry else ""
        yield from _wrapped(f"For {who(reason)}: {REASONS[reason].advice}{again}", 4)


def _video(session: Session, now: datetime) -> Iterator[str]:
    video = session.status.video
    if video is None:
        return
    if line := video_line(session):
        yield from _row("video", line)
        yield from _row("sha256", video.sha256 or "")
    if until := expiry(session, now):
        yield from _row("expires", until)
    if video.url:
        yield f"  link     {printable(video.url)}"


def _events(events: Sequence[Happening], hidden: str, now: datetime) -> Iterator[str]:
    for event in events:
        age = f"{span(now - event.at)} ago"
        yield f"  {age:<16} {event.kind:<8} {printable(event.reason)} ({event.about})"
        yield from _wrapped(printable(event.message), 4)
    if hidden:
        yield from _wrapped(hidden, 2)


def _row(name: str, text: str) -> list[str]:
    return _wrapped(f"{name:<8} {text}", 2, 11)


def _wrapped(text: str, indent: int, further: int | None = None) -> list[str]:
    after = " " * (indent if further is None else further)
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=after,
        break_long_words=False,
        break_on_hyphens=False,
    )
