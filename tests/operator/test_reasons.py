"""Each reason from what causes it: shown at once, final when it has to be, with one Event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
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
    then,
    under_way,
    waiting,
)

from avatar_core.errors import REASONS, Reason
from avatar_operator.conditions import State
from avatar_operator.decision import Decision, Deletion, Seat
from avatar_operator.objects import AvatarView, ContainerView, HistoryView, PodView, ProviderView, Report
from avatar_operator.observed import Clean, CleanState, Observed, Place, Refusals
from avatar_operator.pods import FINAL_EXIT_CODES
from avatar_operator.refusals import next_reading, refusal
from avatar_operator.status import VIDEO_AVAILABLE

UNSCHEDULABLE = "0/3 nodes are available: 3 Insufficient memory."
NO_SECRET = 'secret "openai" not found'
QUOTA = 'pods "avs-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1'
SECURITY = 'pods "avs-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
NO_ACCOUNT = 'pods "avs-x" is forbidden: error looking up service account t/a: serviceaccount "a" not found'
LIMITS = 'pods "avs-x" is forbidden: maximum memory usage per Container is 64Mi, but limit is 512Mi'
TERMINATING = "unable to create new content in namespace team because it is being terminated"


def shown(decision: Decision) -> tuple[str, str]:
    """Truth and reason of Succeeded; there is one Event for it, and the advice is in its message."""
    assert decision.status is not None
    outcome = decision.status.succeeded
    assert outcome is not None
    assert [note.reason for note in decision.notes] == [outcome.reason]
    if outcome.reason in set(Reason):
        assert REASONS[Reason(outcome.reason)].advice in outcome.message
    return outcome.truth, outcome.reason


BEFORE_THE_JOB = [
    (Reason.AVATAR_NOT_FOUND, {"avatar_ref": "face"}, {"avatar": AvatarView(found=False)}),
    (
        Reason.AVATAR_NOT_READY,
        {"avatar_ref": "face"},
        {"avatar": AvatarView(ready=False)},
    ),
    (Reason.PROVIDER_NOT_FOUND, {"source": "prompt"}, {"provider": ProviderView(found=False)}),
    (Reason.PROVIDER_NOT_FOUND, {"provider_ref": "x"}, {"provider": ProviderView(found=False)}),
    (Reason.PROVIDER_NOT_FOUND, {"source": "prompt"}, {"provider": ProviderView(has_llm=False)}),
    (Reason.PROVIDER_NOT_READY, {"source": "prompt"}, {"provider": ProviderView(ready=False)}),
    (Reason.HISTORY_NOT_FOUND, {"continue_from": "first"}, {"history": HistoryView(found=False)}),
    (Reason.HISTORY_NOT_READY, {"continue_from": "first"}, {"history": HistoryView(succeeded=False)}),
    (Reason.NAMESPACE_TERMINATING, {}, {"namespace_terminating": True}),
    (
        Reason.JOB_NAME_TAKEN,
        {},
        {
            "jobs": (
                job(
                    attempt=1,
                ),
            )
        },
    ),
]


@pytest.mark.parametrize(("reason", "spec", "world"), BEFORE_THE_JOB)
def test_what_is_missing_is_waited_for(reason: Reason, spec: dict[str, Any], world: dict[str, Any]) -> None:
    if reason is Reason.JOB_NAME_TAKEN:
        world = {"jobs": (replace(job(), owner_uid="somebody"),)}
    seen = Observed(session(kept=False, **spec), place=Place(admitted=True), live=True, **world)
    first = decide(seen)
    assert shown(first) == ("Unknown", reason)
    assert first.create is None
    assert not first.add_finalizer
    assert first.wake_at == NOW + 300
    seen = then(seen, first)
    assert decide(seen, after=299).empty
    assert shown(decide(seen, after=300)) == ("False", reason)
    given = replace(
        seen,
        jobs=(),
        avatar=AvatarView(),
        provider=ProviderView(has_llm=True),
        history=HistoryView(),
        namespace_terminating=False,
    )
    assert decide(given, after=299).create is not None


def test_without_a_provider_only_a_prompt_waits() -> None:
    for source in ("text", "audio"):
        seen = Observed(
            session(kept=False, source=source), provider=ProviderView(found=False), place=Place(True)
        )
        assert decide(seen).create is not None


def test_a_place_in_line_is_waited_for_without_a_clock() -> None:
    seen = Observed(session(kept=False), place=Place(position=7))
    first = decide(seen)
    assert shown(first) == ("Unknown", Reason.WAITING_FOR_CAPACITY)
    assert first.status is not None
    assert first.status.queue_position == 7
    assert decide(then(seen, first), after=100_000).empty
    admitted = decide(then(seen, first, place=Place(admitted=True)), after=100_000)
    assert admitted.create is not None
    assert admitted.status is not None
    assert admitted.status.queue_position is None


WAITING_PODS = [
    (Reason.UNSCHEDULABLE, pod(unschedulable=UNSCHEDULABLE)),
    (Reason.IMAGE_PULL_BACK_OFF, waiting("ErrImagePull", "not found")),
    (Reason.IMAGE_PULL_BACK_OFF, waiting("ImagePullBackOff", "back-off")),
    (Reason.IMAGE_PULL_BACK_OFF, waiting("InvalidImageName")),
    (Reason.SECRET_NOT_FOUND, waiting("CreateContainerConfigError", NO_SECRET)),
    (Reason.SECRET_NOT_FOUND, waiting("CreateContainerConfigError", "couldn't find key k in Secret a/b")),
    (Reason.CONTAINER_CANNOT_START, waiting("CreateContainerConfigError", "runAsNonRoot and uid 0")),
    (Reason.CONTAINER_CANNOT_START, waiting("CreateContainerError", "no command")),
]


@pytest.mark.parametrize(("reason", "stuck"), WAITING_PODS)
def test_a_pod_that_waits_is_seen_at_once_and_fails_in_time(reason: Reason, stuck: PodView) -> None:
    seen = under_way(stuck)
    first = decide(seen, after=1)
    assert shown(first) == ("Unknown", reason)
    assert first.wake_at == NOW + 300
    seen = then(seen, first)
    assert decide(seen, after=299).empty
    last = decide(seen, after=300)
    assert shown(last) == ("False", reason)
    assert [delete.kind for delete in last.deletes] == ["Job"]


def test_changing_messages_of_the_same_wait_write_nothing() -> None:
    seen = under_way(waiting("ErrImagePull", "rpc error 1"))
    seen = then(seen, decide(seen))
    assert decide(replace(seen, pods=(waiting("ImagePullBackOff", "Back-off pulling"),)), after=5).empty


def test_a_wait_that_ends_is_forgotten() -> None:
    seen = under_way(pod(unschedulable=UNSCHEDULABLE))
    seen = then(seen, decide(seen))
    assert shown(decide(replace(seen, pods=(running(),)))) == ("Unknown", State.RUNNING)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (Reason.QUOTA_EXCEEDED, QUOTA),
        (Reason.POD_SECURITY_VIOLATION, SECURITY),
        (Reason.SERVICE_ACCOUNT_NOT_FOUND, NO_ACCOUNT),
        (Reason.POD_REFUSED, LIMITS),
        (Reason.NAMESPACE_TERMINATING, TERMINATING),
    ],
)
def test_a_job_without_a_pod_has_its_events_read(reason: Reason, message: str) -> None:
    seen = under_way()
    assert decide(seen, after=1).read_refusals == ""
    assert decide(seen, after=1).wake_at == NOW + 2
    assert decide(seen, after=2).read_refusals == job().name
    seen = replace(seen, refusals=Refusals(NOW + 2, message))
    first = decide(seen, after=2)
    assert refusal(message) is reason
    assert shown(first) == ("Unknown", reason)
    assert first.wake_at == NOW + 5
    seen = then(seen, first, refusals=Refusals(NOW + 290, message))
    assert shown(decide(seen, after=300)) == ("False", reason)


def test_events_are_read_after_2_5_10_seconds_then_now_and_then() -> None:
    at, times = None, []
    for _ in range(5):
        at = next_reading(0, at)
        times.append(at)
    assert times == [2, 5, 10, 40, 70]


def test_a_pod_that_just_does_not_start_fails_in_time() -> None:
    seen = under_way(pod())
    assert decide(seen, after=299).empty
    assert shown(decide(seen, after=300)) == ("False", Reason.START_TIMEOUT)


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
}


def test_no_reason_is_left_out() -> None:
    assert set(Reason) == CAUSED_HERE
