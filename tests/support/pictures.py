"""Pictures of a session's world for tests, in one line each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.fake_operator import SETTINGS

from avatar_core.errors import REASONS, Reason
from avatar_operator.decide import reconcile
from avatar_operator.decision import Decision
from avatar_operator.names import job_name
from avatar_operator.objects import ContainerView, JobView, PodView, SessionView, SpecView
from avatar_operator.observed import Observed, Place
from avatar_operator.status import Result, Status, VideoFile

NOW = 1_000_000
UID = "5f1d"
RESULT = Result(VideoFile(2_000, "ab" * 32, 3.0, 45))


def session(status: Status | None = None, kept: bool = True, **fields: Any) -> SessionView:
    """A session; `fields` are those of its spec."""
    spec = SpecView(**fields)
    return SessionView("team", "hello", UID, created=NOW, kept=kept, spec=spec, status=status or Status())


def job(attempt: int = 1, **fields: Any) -> JobView:
    given = {"created": NOW, "started": NOW, **fields}
    return JobView(job_name(UID, attempt), f"job-{attempt}", UID, attempt, **given)


def pod(attempt: int = 1, number: int = 1, **fields: Any) -> PodView:
    name = f"pod-{attempt}-{number}"
    return PodView(name, name, f"job-{attempt}", **{"created": NOW + number, **fields})


def running(attempt: int = 1, started_at: int = NOW, **fields: Any) -> PodView:
    container = ContainerView(started_at=started_at)
    return pod(attempt, **{"phase": "Running", "ready": "True", "container": container, **fields})


def failed(code: int | None, number: int = 1, end_reason: str = "", **fields: Any) -> PodView:
    started = None if code is None else NOW
    container = ContainerView(
        started_at=started, ended_at=NOW + number, exit_code=code, end_reason=end_reason
    )
    return pod(number=number, **{"phase": "Failed", "container": container, **fields})


def waiting(why: str, message: str = "") -> PodView:
    return pod(container=ContainerView(waiting=why, waiting_message=message))


def begun() -> Status:
    """The status right after the first Job was created."""
    seen = Observed(session(kept=False), place=Place(admitted=True))
    status = decide(seen).status
    assert status is not None
    return status


def under_way(*pods: PodView, the_job: JobView | None = None, **spec: Any) -> Observed:
    """The first attempt, with these pods."""
    return Observed(session(begun(), **spec), (the_job or job(),), pods, live=True)


def decide(seen: Observed, after: float = 0) -> Decision:
    return reconcile(seen, SETTINGS, NOW + after)


def then(seen: Observed, decision: Decision, **changes: Any) -> Observed:
    """The picture once the decision's status is written."""
    status = decision.status or seen.session.status
    return replace(seen, session=replace(seen.session, status=status), **changes)


def shown(decision: Decision) -> tuple[str, str]:
    """Truth and reason of Succeeded; there is one Event for it, and the advice is in its message."""
    assert decision.status is not None
    outcome = decision.status.succeeded
    assert outcome is not None
    assert [note.reason for note in decision.notes] == [outcome.reason]
    if outcome.reason in set(Reason):
        assert REASONS[Reason(outcome.reason)].advice in outcome.message
    return outcome.truth, outcome.reason
