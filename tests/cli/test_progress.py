"""How far a run is, as values: never backwards, and always something true to say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from avatar_cli.progress import Progress, due, line

STAGES = st.sampled_from(["llm", "speech", "render", "publish"])
NEWS = st.lists(
    st.tuples(STAGES, st.integers(0, 500), st.none() | st.integers(1, 500), st.floats(0, 5)), max_size=40
)


def drawing(done: float, total: float | None, seconds: float = 2.0) -> Progress:
    begun = Progress().update("render", "frames", 10.0, done=0)
    return begun.update("render", "frames", 10.0 + seconds, done=done, total=total)


def test_percent_rate_and_time_left() -> None:
    (stage,) = drawing(60, 240).stages
    assert stage.percent == 25
    assert stage.rate == 30
    assert stage.eta(12.0) == 6
    assert stage.eta(13.5) == 4.5, "the clock goes on between two pieces of news"
    assert line(stage, 12.0) == "draw      25 %  60/240 frames, 30.0 frames/s, 6 s left"


def test_an_unknown_total_has_no_percent_and_no_time_left() -> None:
    (stage,) = drawing(60, None).stages
    assert (stage.percent, stage.eta(12.0)) == (None, None)
    assert line(stage, 12.0) == "draw       -    60 frames, 30.0 frames/s"


def test_a_stage_that_is_over_is_whole() -> None:
    progress = drawing(60, 240).update("render", "frames", 20.0, done=240, finished=True)
    assert progress.stages[0].percent == 100
    assert progress.stages[0].eta(20.0) is None
    assert progress.active == ()


def test_a_line_is_due_at_each_change_and_when_the_last_one_is_old() -> None:
    before = drawing(60, 240)
    more = before.update("render", "frames", 12.1, done=61)
    assert not due(before, more, age=0.1, every=1.0)
    assert due(before, more, age=1.0, every=1.0)
    assert due(before, more.update("publish", "bytes", 12.1, done=0), age=0.0, every=1.0)
    assert due(before, more.update("render", "frames", 12.1, done=240, finished=True), age=0.0, every=1.0)


@given(NEWS)
def test_nothing_goes_back_and_stages_keep_their_places(
    news: list[tuple[str, int, int | None, float]],
) -> None:
    progress, now = Progress(), 0.0
    for stage, done, total, pause in news:
        now += pause
        following = progress.update(stage, "frames", now, done=done, total=total)
        assert [s.stage for s in following.stages][: len(progress.stages)] == [
            s.stage for s in progress.stages
        ]
        for old, new in zip(progress.stages, following.stages, strict=False):
            assert new.done >= old.done or (new.stage == stage and new.done == done == 0), (
                "only to begin anew"
            )
            assert new.seen >= old.seen
        for shown in following.stages:
            assert shown.percent is None or 0 <= shown.percent <= 100
            assert (shown.eta(now) or 0) >= 0
            assert "\n" not in line(shown, now)
        progress = following
