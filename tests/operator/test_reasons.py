"""How a session ends, each reason from what causes it, with one Event."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.operator.test_waiting import BEFORE_THE_JOB, WAITING_PODS
from tests.support.pictures import (
    NOW,
    RESULT,
    begun,
    decide,
    failed,
    job,
    pod,
    running,
    session,
    shown,
    then,
    under_way,
)

from avatar_core.errors import REASONS, Reason
from avatar_operator.conditions import State
from avatar_operator.decision import Deletion, Seat
from avatar_operator.objects import ContainerView, Report
from avatar_operator.observed import Clean, CleanState, Observed, Place
from avatar_operator.pods import FINAL_EXIT_CODES
from avatar_operator.status import VIDEO_AVAILABLE

PROCESS_REASONS = [reason for reason, info in REASONS.items() if info.exit_code in FINAL_EXIT_CODES]


@pytest.mark.parametrize("reason", PROCESS_REASONS)
def test_a_final_exit_code_ends_the_session_at_once_with_the_reason_it_told(reason: Reason) -> None:
    bad = failed(REASONS[reason].exit_code)
    bad = replace(bad, container=replace(bad.container, report=Report(reason, "why exactly")))
    decision = decide(under_way(bad))
    assert shown(decision) == ("False", reason)
    assert decision.status is not None
    assert decision.status.succeeded is not None
    assert decision.status.succeeded.message.startswith("why exactly")
    assert decision.deletes == ()  # its controller ends the Job, and the log stays


@pytest.mark.parametrize("code", FINAL_EXIT_CODES)
def test_a_final_exit_code_without_a_word_ends_the_session_too(code: int) -> None:
    _, reason = shown(decide(under_way(failed(code))))
    possible = [reason for reason, info in REASONS.items() if info.exit_code == code]
    assert reason == (possible[0] if len(possible) == 1 else Reason.POD_FAILED)


@pytest.mark.parametrize(
    "reason", [reason for reason, info in REASONS.items() if 40 <= info.exit_code <= 69 - 1]
)
def test_a_retriable_exit_code_is_shown_and_final_with_the_last_pod(reason: Reason) -> None:
    bad = failed(REASONS[reason].exit_code)
    bad = replace(bad, container=replace(bad.container, report=Report(reason, "why")))
    assert shown(decide(under_way(bad), after=3)) == ("Unknown", reason)
    over = job(finished="Failed", failure="BackoffLimitExceeded")
    assert shown(decide(under_way(bad, the_job=over))) == ("False", reason)


@pytest.mark.parametrize("code", [130, 137, 143, 1, None])
def test_a_killed_or_crashed_pod_is_replaced(code: int | None) -> None:
    assert shown(decide(under_way(failed(code)))) == ("Unknown", Reason.POD_FAILED)
    assert shown(decide(under_way(failed(code), running(number=2)))) == ("Unknown", State.RUNNING)


def test_a_process_told_to_end_does_not_cancel_its_session() -> None:
    killed = failed(130)
    killed = replace(killed, container=replace(killed.container, report=Report(Reason.CANCELLED, "SIGTERM")))
    assert shown(decide(under_way(killed))) == ("Unknown", Reason.POD_FAILED)


@pytest.mark.parametrize("reason", [reason for reason, info in REASONS.items() if info.exit_code in (39, 69)])
def test_a_process_can_not_say_what_only_a_cluster_can(reason: Reason) -> None:
    boasting = failed(REASONS[reason].exit_code)
    boasting = replace(boasting, container=replace(boasting.container, report=Report(reason, "I say so")))
    assert shown(decide(under_way(boasting))) == ("Unknown", Reason.POD_FAILED)


def test_a_disruption_does_not_count_whatever_the_process_said() -> None:
    evicted = replace(failed(14), disrupted=True)
    assert shown(decide(under_way(evicted))) == ("Unknown", Reason.POD_DISRUPTED)


def test_out_of_memory_twice_is_final() -> None:
    once, twice = failed(137, 1, "OOMKilled"), failed(137, 2, "OOMKilled")
    assert shown(decide(under_way(once))) == ("Unknown", Reason.OOM_KILLED)
    assert shown(decide(under_way(once, running(number=2)))) == ("Unknown", State.RUNNING)
    last = decide(under_way(once, twice))
    assert shown(last) == ("False", Reason.OOM_KILLED)
    assert last.deletes == (Deletion("Job", job().name, job().uid),)


def test_a_silent_node_is_seen_and_its_pod_replaced_by_another_attempt_once_evicted() -> None:
    seen = under_way(running(ready="Unknown"))
    first = decide(seen, after=50)
    assert shown(first) == ("Unknown", Reason.NODE_LOST)
    assert first.deletes == ()
    evicted = replace(seen, pods=(running(ready="Unknown", gone_by=NOW + 65),))
    evicted = then(evicted, first)
    assert decide(evicted, after=69).deletes == ()
    gone = decide(evicted, after=70)
    assert [(delete.kind, delete.grace) for delete in gone.deletes] == [("Job", None), ("Pod", 0)]
    after = decide(then(evicted, gone, jobs=(), pods=(), place=Place(admitted=True)), after=71)
    assert after.create is not None
    assert after.status is not None
    assert (after.status.attempt, after.status.lost_attempts) == (2, 0)


def test_the_run_time_is_the_pods_to_keep_and_the_operators_five_seconds_later() -> None:
    seen = under_way(running(started_at=NOW + 20))
    first = decide(seen, after=20)
    assert first.wake_at == NOW + 20 + 125
    seen = then(seen, first)
    assert decide(seen, after=144).empty
    over = decide(seen, after=145)
    assert shown(over) == ("Unknown", Reason.DEADLINE_EXCEEDED)
    assert [delete.kind for delete in over.deletes] == ["Job"]
    seen = then(seen, over, jobs=(), pods=(running(started_at=NOW + 20, gone_by=NOW + 150),))
    assert decide(seen, after=147).empty  # it may still say what it has published
    assert shown(decide(replace(seen, result=RESULT), after=148)) == ("True", State.SUCCEEDED)
    last = decide(replace(seen, pods=()), after=151)
    assert last.status is not None
    assert last.status.succeeded is not None
    assert (last.status.succeeded.truth, last.status.succeeded.reason) == ("False", "DeadlineExceeded")


def test_the_backstop_of_kubernetes_gets_one_more_attempt_if_a_container_ran() -> None:
    over = job(finished="Failed", failure="DeadlineExceeded")
    never = decide(under_way(the_job=over), after=436)
    assert shown(never) == ("False", Reason.START_TIMEOUT)
    seen = under_way(failed(143), the_job=over)
    first = decide(seen, after=436)
    assert first.status is not None
    assert (first.status.lost_attempts, first.status.job_name) == (1, "")


def test_a_result_that_nobody_heard_of_gets_one_more_attempt() -> None:
    done = replace(
        pod(), phase="Succeeded", container=ContainerView(started_at=NOW, ended_at=NOW, exit_code=0)
    )
    seen = under_way(done, the_job=job(finished="Complete"))
    first = decide(seen, after=9)
    assert first.status is not None
    assert (first.status.lost_attempts, first.status.job_name) == (1, "")
    assert [delete.kind for delete in first.deletes] == ["Job"]
    seen = then(seen, first, jobs=(), pods=(), place=Place(admitted=True))
    second = decide(seen, after=12)
    assert second.create is not None
    assert second.status is not None
    assert second.status.attempt == 2
    over = replace(done, job_uid="job-2")
    seen = then(seen, second, jobs=(job(2, finished="Complete"),), pods=(over,))
    assert shown(decide(seen, after=20)) == ("False", Reason.RESULT_LOST)
    assert shown(decide(replace(seen, result=RESULT), after=20)) == ("True", State.SUCCEEDED)


def test_a_job_that_vanishes_is_made_anew_once_its_pods_are_gone() -> None:
    seen = Observed(session(begun()), (), (running(),), place=Place(admitted=True), live=True)
    assert decide(seen).create is None
    gone = decide(replace(seen, pods=()))
    assert gone.create is not None
    assert gone.create["metadata"]["name"].endswith("-2")


def test_caches_alone_prove_nothing() -> None:
    seen = Observed(session(begun()), place=Place(admitted=True))
    assert decide(seen).look
    assert decide(under_way(the_job=job(finished="Complete"))).look is False
    assert decide(replace(under_way(the_job=job(finished="Complete")), live=False)).look


def test_cancel_and_suspend_delete_the_job_at_once() -> None:
    seen = under_way(running(), cancel=True)
    cancelled = decide(seen)
    assert shown(cancelled) == ("False", Reason.CANCELLED)
    assert [delete.kind for delete in cancelled.deletes] == ["Job"]
    again = replace(seen.session.spec, retry=5)
    asked = then(seen, cancelled, jobs=(), pods=())
    assert decide(replace(asked, session=replace(asked.session, spec=again)), after=1).empty

    seen = under_way(running(), suspend=True)
    suspended = decide(seen)
    assert shown(suspended) == ("Unknown", Reason.SUSPENDED)
    assert [delete.kind for delete in suspended.deletes] == ["Job"]
    seen = then(seen, suspended, jobs=(), pods=(), place=Place(admitted=True))
    assert decide(seen, after=100_000).empty
    spec = replace(seen.session.spec, suspend=False)
    resumed = decide(replace(seen, session=replace(seen.session, spec=spec)), after=100_000)
    assert resumed.create is not None
    assert resumed.create["metadata"]["name"].endswith("-2")


def test_kueue_alone_lets_its_jobs_go_on() -> None:
    queued = replace(session(kept=False), queue="gpu")
    created = decide(Observed(queued, live=True))
    assert created.create is not None
    assert created.create["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"
    assert "suspend" not in created.create["spec"]
    held = Observed(
        replace(queued, kept=True, status=begun()), (job(suspended=True, started=None),), live=True
    )
    first = decide(held)
    assert shown(first) == ("Unknown", Reason.QUEUED)
    assert decide(then(held, first), after=100_000).empty
    assert {created.seat, first.seat, decide(replace(held, pods=(running(),))).seat} == {Seat.OUT}


def test_a_spec_of_another_version_is_refused_in_words() -> None:
    invalid = replace(session(kept=False), invalid="spec.video.fps: must be 12 to 30")
    assert shown(decide(Observed(invalid))) == ("False", Reason.INVALID_SPEC)


def test_a_failed_clean_up_is_shown_and_tried_again_later_each_time() -> None:
    seen = under_way(running())
    done = decide(replace(seen, result=RESULT), after=10)
    seen = then(seen, done, jobs=(), pods=())
    asked = decide(seen, after=3610)
    assert asked.clean
    seen = replace(seen, clean=Clean(CleanState.FAILED, 1, tries=2, failed_at=NOW + 3700, message="no store"))
    failing = decide(seen, after=3701)
    assert failing.status is not None
    video = failing.status.condition(VIDEO_AVAILABLE)
    assert video is not None
    assert (video.truth, video.reason) == ("Unknown", Reason.CLEANUP_FAILED)
    assert [note.type for note in failing.notes] == ["Warning"]
    assert not failing.clean
    assert failing.wake_at == NOW + 3720
    assert decide(then(seen, failing), after=3720).clean
    cleaned = decide(then(seen, failing, clean=Clean(CleanState.DONE, 1)), after=3800)
    assert cleaned.drop_finalizer
    assert [note.reason for note in cleaned.notes] == [Reason.VIDEO_EXPIRED]


CAUSED_HERE = {
    *(reason for reason, *_ in BEFORE_THE_JOB),
    *(reason for reason, _ in WAITING_PODS),
    *PROCESS_REASONS,
    *(reason for reason, info in REASONS.items() if 40 <= info.exit_code < 69),
    Reason.WAITING_FOR_CAPACITY,
    Reason.QUOTA_EXCEEDED,
    Reason.POD_SECURITY_VIOLATION,
    Reason.SERVICE_ACCOUNT_NOT_FOUND,
    Reason.POD_REFUSED,
    Reason.START_TIMEOUT,
    Reason.POD_FAILED,
    Reason.POD_DISRUPTED,
    Reason.OOM_KILLED,
    Reason.NODE_LOST,
    Reason.RESULT_LOST,
    Reason.CANCELLED,
    Reason.SUSPENDED,
    Reason.QUEUED,
    Reason.CLEANUP_FAILED,
    Reason.VIDEO_EXPIRED,
    Reason.INSECURE_URL,  # of a provider: test_providers
}


def test_no_reason_is_left_out() -> None:
    assert set(Reason) == CAUSED_HERE
