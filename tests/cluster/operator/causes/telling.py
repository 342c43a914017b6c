"""What an operator must have said about each cause."""

from __future__ import annotations

from collections import Counter

from tests.cluster.operator.causes.stage import Cause, Stage
from tests.cluster.patience import eventually
from tests.cluster.witness import Told

from avatar_core.errors import REASONS, Actor, Reason

_CALM = {"Starting", "Running", "Succeeded", Reason.SUSPENDED, Reason.CANCELLED, Reason.VIDEO_EXPIRED}
_OF_VIDEOS = (Reason.VIDEO_EXPIRED, Reason.CLEANUP_FAILED)


def assert_told(stage: Stage, cause: Cause) -> None:
    """The condition with advice and details, and one Event for each of its transitions."""
    told = stage.told(cause)
    assert cause.name not in stage.failures, (stage.failures[cause.name], told.statuses[-1:])
    for truth in cause.truths:
        messages = told.shown(truth, cause.reason, cause.kind)
        assert messages, told.conditions(cause.kind)
        for message in messages:
            assert cause.words in message
            assert message.endswith(REASONS[cause.reason].advice)
    if not cause.events:
        assert cause.reason not in [reason for _, reason, _ in told.events]
        return
    eventually(lambda: len(told.events) >= len(events_of(told)), seconds=5)
    assert [event[:2] for event in told.events] == events_of(told)
    assert cause.reason in [reason for _, reason, _ in told.events]


def assert_counted(stage: Stage) -> None:
    """The metrics of what is over know every end that was written, and no other."""
    ends: Counter[str] = Counter()
    videos: Counter[str] = Counter()
    for _, told in stage.witness.all():
        ends.update({c["reason"] for c in told.conditions() if c["status"] != "Unknown"})
        videos.update(transitions(told, "VideoAvailable"))
    assert ends
    for name, wanted in (("avatar_sessions_finished", ends), ("avatar_session_videos", videos)):
        found = stage.operator.metrics(f"{name}_total", "reason")
        assert found == dict(wanted), name


def transitions(told: Told, kind: str) -> list[str]:
    """The reasons of a condition, one for each time it became another."""
    found = [(c["status"], c["reason"]) for c in told.conditions(kind)]
    return [now[1] for before, now in zip([None, *found], found, strict=False) if now != before]


def events_of(told: Told) -> list[tuple[str, str]]:
    """One a transition: of the outcome, else of a video that is gone."""
    found, seen = [], {"Succeeded": ("", ""), "VideoAvailable": ("", "")}
    for status in told.statuses:
        now = {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", ())}
        moved = [kind for kind in seen if kind in now and now[kind] != seen[kind]]
        seen |= now
        for kind in moved[:1]:
            reason = now[kind][1]
            if kind == "Succeeded" or reason in _OF_VIDEOS:
                found.append(("Normal" if _is_calm(reason) else "Warning", reason))
    return found


def _is_calm(reason: str) -> bool:
    return reason in _CALM or REASONS[Reason(reason)].actor is Actor.NOBODY
