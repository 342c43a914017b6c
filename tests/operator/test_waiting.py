"""Waiting is not failing: each reason is shown at once, and final only when its time is over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.pictures import (
    NOW,
    decide,
    job,
    pod,
    running,
    session,
    shown,
    then,
    under_way,
    waiting,
)

from avatar_core.errors import Reason
from avatar_operator.conditions import State
from avatar_operator.objects import AvatarView, HistoryView, PodView, ProviderView
from avatar_operator.observed import Observed, Place, Refusals
from avatar_operator.refusals import next_reading, refusal

UNSCHEDULABLE = "0/3 nodes are available: 3 Insufficient memory."
NO_SECRET = 'secret "openai" not found'
QUOTA = 'pods "avs-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1'
SECURITY = 'pods "avs-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
NO_ACCOUNT = 'pods "avs-x" is forbidden: error looking up service account t/a: serviceaccount "a" not found'
LIMITS = 'pods "avs-x" is forbidden: maximum memory usage per Container is 64Mi, but limit is 512Mi'
TERMINATING = "unable to create new content in namespace team because it is being terminated"

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
    ending = reason is Reason.NAMESPACE_TERMINATING
    assert first.wake_at == NOW + (30 if ending else 300)
    seen = then(seen, first)
    assert decide(seen, after=299).empty
    assert shown(decide(seen, after=300)) == ("False", reason)
    unsure = replace(seen, live=False, place=Place())
    assert [decide(unsure, after=after).look for after in (299, 300)] == [ending] * 2
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
