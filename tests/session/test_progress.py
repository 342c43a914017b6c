"""Progress: what is told, how often, and which stage the session waits for."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from avatar_session import progress as progress_module
from avatar_session.progress import Progress, StageEvent


async def test_the_current_stage_is_the_first_that_is_not_over() -> None:
    progress = Progress(("llm", "speech", "render"), lambda event: None)
    assert progress.current.stage == "llm"
    for stage in ("llm", "speech", "render"):
        progress.begin(stage)
    progress.update("render", 5, expected=10)
    assert progress.current.stage == "llm"
    progress.finish("llm")
    progress.finish("speech")
    assert (progress.current.stage, progress.current.percent) == ("render", 50)
    progress.finish("render")
    assert progress.current.percent == 100
    progress.restart()
    assert (progress.current.stage, progress.current.percent) == ("llm", 0)


async def test_percent_never_falls_and_reaches_100_only_at_the_end() -> None:
    told: list[StageEvent] = []
    progress = Progress(("render",), told.append)
    progress.begin("render")
    for done, expected in ((5, 10), (6, 30), (30, 30), (40, 30)):
        progress.update("render", done, expected=expected)
        assert progress.current.percent < 100
    progress.update("render", 41, total=50)
    progress.finish("render")
    assert [event.percent for event in told] == sorted(event.percent for event in told)
    assert (told[-1].percent, told[-1].done, told[-1].total) == (100, 41, 50)


async def test_silence_is_broken_well_within_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress_module.SILENCE_SECONDS <= 1.5
    monkeypatch.setattr(progress_module, "SILENCE_SECONDS", 0.05)
    told: list[StageEvent] = []
    progress = Progress(("llm", "speech"), told.append)
    progress.begin("llm")
    progress.update("llm", 7, expected=100)
    beating = asyncio.create_task(progress.beat())
    while len(told) < 6:
        await asyncio.sleep(0.01)
    beating.cancel()
    assert {(event.stage, event.done) for event in told[2:]} == {("llm", 7)}
    gaps = [later.elapsed - earlier.elapsed for earlier, later in itertools.pairwise(told[2:])]
    assert all(gap > 0.03 for gap in gaps)


async def test_crowded_news_are_thinned_but_none_is_lost_at_the_end() -> None:
    told: list[StageEvent] = []
    progress = Progress(("llm",), told.append)
    progress.begin("llm")
    for done in range(1, 1001):
        progress.update("llm", done, expected=1000)
    progress.finish("llm")
    assert len(told) < 50
    assert (told[-1].done, told[-1].finished) == (1000, True)


async def test_what_is_waited_for_is_told_and_forgotten_when_it_goes_on() -> None:
    told: list[StageEvent] = []
    progress = Progress(("render",), told.append)
    progress.begin("render")
    progress.wait("render", "position 3")
    assert told[-1].note == "position 3"
    progress.update("render", 1, total=2)
    progress.finish("render")
    assert told[-1].note == ""


async def test_timings_say_when_a_stage_began_gave_something_and_ended() -> None:
    progress = Progress(("llm",), lambda event: None)
    assert progress.timings == {}
    progress.begin("llm")
    await asyncio.sleep(0.02)
    progress.update("llm", 1)
    await asyncio.sleep(0.02)
    progress.finish("llm")
    timing = progress.timings["llm"]
    assert timing.begin < timing.first < timing.end
