"""The way of one session, step by step: what is written, in which order, and when nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.fake_operator import SETTINGS
from tests.support.pictures import (
    NOW,
    RESULT,
    UID,
    begun,
    decide,
    failed,
    job,
    pod,
    running,
    session,
    then,
    under_way,
)

from avatar_core.errors import Reason
from avatar_operator.conditions import State
from avatar_operator.decision import Deletion, Seat
from avatar_operator.names import job_name
from avatar_operator.objects import AvatarView
from avatar_operator.observed import Clean, CleanState, Observed, Place, Posted
from avatar_operator.status import VIDEO_AVAILABLE, Progress, Status


def succeeded(after: float = 10, **spec: int) -> Observed:
    """A session right after its result was recorded; its Job is complete."""
    seen = under_way(running(), **spec)
    done = decide(replace(seen, result=RESULT), after=after)
    over = replace(running(), phase="Succeeded")
    return then(seen, done, jobs=(job(finished="Complete"),), pods=(over,))


def test_the_happy_path_is_one_finalizer_one_job_three_statuses_and_three_events() -> None:
    seen = Observed(session(kept=False), place=Place(admitted=True))
    first = decide(seen)
    assert (first.add_finalizer, first.create is not None, first.look) == (True, True, False)
    seen = then(seen, first, jobs=(job(),))
    seen = replace(seen, session=replace(seen.session, kept=True))
    assert decide(seen, after=1).empty
    assert decide(replace(seen, pods=(pod(),)), after=1).empty
    seen = replace(seen, pods=(running(),))
    second = decide(seen, after=1)
    seen = then(seen, second)
    assert decide(seen, after=5).empty
    third = decide(replace(seen, result=RESULT), after=20)
    seen = then(seen, third)
    assert decide(seen, after=21).empty
    over = replace(running(), phase="Succeeded")
    seen = replace(seen, jobs=(job(finished="Complete"),), pods=(over,))
    assert decide(seen, after=23).empty
    assert [d.status is not None for d in (first, second, third)] == [True] * 3
    events = [note.reason for d in (first, second, third) for note in d.notes]
    assert events == [State.STARTING, State.RUNNING, State.SUCCEEDED]
    assert [d.status.phase for d in (first, second, third) if d.status] == [
        "Starting",
        "Running",
        "Succeeded",
    ]


def test_a_result_is_recorded_whole() -> None:
    status = succeeded().session.status
    assert (status.completed_at, status.made, status.attempt) == (NOW + 10, RESULT.made, 1)
    assert status.video is not None
    assert (status.video.file, status.video.expires_at) == (RESULT.file, NOW + 10 + 3600)
    assert status.video.url == SETTINGS.links.url("team", UID, NOW + 300 + 120 + 15 + 3600)
    video = status.condition(VIDEO_AVAILABLE)
    assert video is not None
    assert (video.truth, video.reason) == ("True", State.PUBLISHED)


def test_the_link_is_there_before_the_video_and_as_long_as_it() -> None:
    status = begun()
    assert status.video is not None
    assert status.video.file is None
    assert status.video.expires_at == NOW + 300 + 120 + 15 + 3600


def test_a_changed_ttl_moves_the_expiry_and_signs_the_link_anew() -> None:
    seen = succeeded()
    spec = replace(seen.session.spec, video_ttl=7200)
    changed = decide(replace(seen, session=replace(seen.session, spec=spec)), after=60)
    assert changed.status is not None
    assert changed.status.video is not None
    assert changed.status.video.expires_at == NOW + 10 + 7200
    assert str(NOW + 10 + 7200) in changed.status.video.url
    assert changed.notes == ()


def test_a_generation_alone_is_recorded_once() -> None:
    seen = succeeded()
    seen = replace(seen, session=replace(seen.session, generation=2))
    seen = then(seen, decide(seen, after=20))
    assert seen.session.status.observed_generation == 2
    assert decide(seen, after=21).empty


def test_progress_is_written_for_the_current_attempt_only() -> None:
    seen = under_way(running())
    seen = then(seen, decide(seen))
    posted = Posted(1, "render", Progress(30, 45, 66))
    told = decide(replace(seen, progress=posted), after=2)
    assert told.status is not None
    assert (told.status.stage, told.status.progress) == ("render", posted.progress)
    assert told.notes == ()
    assert decide(then(seen, told, progress=posted), after=3).empty
    assert decide(replace(seen, progress=replace(posted, attempt=2)), after=2).empty
    late = decide(then(seen, told), after=125).status
    assert late is not None
    assert late.succeeded is not None
    assert late.succeeded.message.startswith("time ran out after 120 s in stage render at 66 %")


def test_a_succeeded_job_stays_five_minutes_then_the_video_expires_then_the_finalizer_goes() -> None:
    seen = succeeded()
    waits = decide(seen, after=11)
    assert waits.empty
    assert (waits.wake_at, waits.seat) == (NOW + 310, Seat.OUT)
    assert decide(seen, after=310).deletes == (Deletion("Job", job().name, job().uid),)
    seen = replace(seen, jobs=(), pods=())
    assert decide(seen, after=3609).empty
    assert decide(seen, after=3609).wake_at == NOW + 3610
    asked = decide(seen, after=3610)
    assert asked.clean
    assert not asked.drop_finalizer
    assert decide(replace(seen, clean=Clean(CleanState.RUNNING, 1)), after=3611).empty
    last = decide(replace(seen, clean=Clean(CleanState.DONE, 1)), after=3620)
    assert last.drop_finalizer
    assert [note.reason for note in last.notes] == [Reason.VIDEO_EXPIRED]
    seen = then(seen, last)
    seen = replace(seen, session=replace(seen.session, kept=False))
    assert decide(seen, after=100_000).empty
    assert decide(seen, after=100_000).wake_at is None


def test_a_clean_up_of_an_earlier_attempt_says_nothing() -> None:
    seen = replace(succeeded(), jobs=(), pods=(), clean=Clean(CleanState.DONE, 0))
    assert decide(seen, after=4000).clean
    assert not decide(seen, after=4000).drop_finalizer


def test_a_finalizer_that_somebody_took_off_comes_back_while_there_is_a_video() -> None:
    seen = succeeded()
    seen = replace(seen, session=replace(seen.session, kept=False))
    assert decide(seen, after=20).add_finalizer
    under = under_way(running())
    assert decide(replace(under, session=replace(under.session, kept=False))).add_finalizer


def test_the_session_itself_goes_after_its_ttl() -> None:
    seen = succeeded(session_ttl=600)
    assert decide(seen, after=609).deletes == (Deletion("Job", job().name, job().uid),)
    assert [d.kind for d in decide(seen, after=610).deletes] == ["AvatarSession"]


def leaving(*pods: object, **fields: object) -> Observed:
    seen = succeeded()
    gone = replace(seen.session, deleting=True, generation=2)
    return replace(seen, session=gone, **fields)


def test_deletion_is_job_pods_folder_finalizer_in_this_order() -> None:
    seen = replace(under_way(running()), session=replace(session(begun()), deleting=True, generation=2))
    first = decide(seen)
    assert [d.kind for d in first.deletes] == ["Job"]
    assert (first.status, first.clean, first.drop_finalizer) == (None, False, False)
    pods = (running(gone_by=NOW + 5),)
    second = decide(replace(seen, jobs=(), pods=pods), after=3)
    assert second.empty
    assert second.seat is Seat.HOLDING
    stuck = decide(replace(seen, jobs=(), pods=pods), after=40)
    assert stuck.deletes == (Deletion("Pod", pods[0].name, pods[0].uid, grace=0),)
    third = decide(replace(seen, jobs=(), pods=()), after=6)
    assert (third.clean, third.drop_finalizer) == (True, False)
    seen = replace(seen, jobs=(), pods=(), clean=Clean(CleanState.DONE, 1))
    assert decide(seen, after=9).drop_finalizer
    assert decide(replace(seen, live=False), after=9).look


def test_a_namespace_being_deleted_never_hangs() -> None:
    seen = leaving(namespace_terminating=True)
    last = decide(seen)
    assert last.drop_finalizer
    assert (last.deletes, last.clean) == ((), False)


def test_a_session_that_never_had_a_job_goes_at_once() -> None:
    waiting = replace(session(kept=False), deleting=True)
    assert decide(Observed(waiting)).empty


def test_retry_is_the_next_attempt_once_nothing_of_the_last_is_left() -> None:
    seen = under_way(failed(14))
    seen = then(seen, decide(seen, after=2), jobs=(job(finished="Failed", failure="PodFailurePolicy"),))
    assert decide(seen, after=3).empty
    asked = replace(seen, session=replace(seen.session, spec=replace(seen.session.spec, retry=1)))
    first = decide(asked, after=60)
    assert [note.reason for note in first.notes] == [State.STARTING]
    assert [d.kind for d in first.deletes] == ["Job"]
    assert first.create is None
    assert first.seat is Seat.OUT
    assert decide(replace(asked, place=Place(admitted=True)), after=60).seat is Seat.HOLDING
    seen = then(asked, first, jobs=(), pods=(), place=Place(admitted=True))
    cleaning = replace(seen, clean=Clean(CleanState.RUNNING, 1))
    assert decide(cleaning, after=61).create is None
    second = decide(seen, after=61)
    assert second.create is not None
    assert second.create["metadata"]["name"] == job_name(UID, 2)
    assert second.status is not None
    assert (second.status.observed_retry, second.status.completed_at) == (1, None)
    done = then(seen, second, jobs=(job(2),), pods=(running(2),), result=RESULT)
    done = then(done, decide(done, after=70), result=None)
    more = replace(done, session=replace(done.session, spec=replace(done.session.spec, retry=2)))
    assert decide(more, after=80).create is None  # a success stays


def test_a_failed_session_is_kept_for_its_retry_until_the_video_would_expire() -> None:
    seen = under_way(failed(14))
    seen = then(seen, decide(seen, after=2), jobs=(job(finished="Failed", failure="PodFailurePolicy"),))
    assert decide(seen, after=3601).empty
    assert [d.kind for d in decide(seen, after=3602).deletes] == ["Job"]
    gone = replace(seen, jobs=(), pods=())
    assert decide(gone, after=3602).clean
    last = decide(replace(gone, clean=Clean(CleanState.DONE, 1)), after=3700)
    assert last.drop_finalizer
    assert last.notes == ()


def test_a_job_created_but_not_recorded_is_taken_up() -> None:
    fresh = Observed(session(), (job(),), (running(),))
    taken = decide(fresh)
    assert taken.status is not None
    assert (taken.status.attempt, taken.status.job_name) == (1, job().name)
    assert taken.create is None
    assert taken.deletes == ()


def test_a_second_job_is_ended() -> None:
    seen = under_way(running(), the_job=job())
    both = replace(seen, jobs=(job(), job(2)))
    kept = decide(both)
    assert kept.deletes == (Deletion("Job", job().name, job().uid),)


@pytest.mark.parametrize("live", [True, False])
def test_what_cannot_be_undone_is_decided_on_a_live_picture(live: bool) -> None:
    second_attempt = replace(session(Status(attempt=1)))
    for seen in (
        Observed(second_attempt, place=Place(admitted=True)),
        under_way(running(), cancel=True),
        replace(succeeded(), session=replace(succeeded().session, deleting=True)),
        Observed(session(begun()), avatar=AvatarView(ready=False)),
        Observed(session(Status(attempt=1), kept=False), place=Place(admitted=True)),
    ):
        assert decide(replace(seen, live=live), after=5).look is not live


def test_a_place_is_given_up_for_what_is_seen_not_for_what_is_not() -> None:
    seen = replace(succeeded(), live=False, place=Place(admitted=True))
    assert decide(seen, after=20).seat is Seat.OUT
    assert decide(replace(seen, jobs=(), pods=()), after=20).look
