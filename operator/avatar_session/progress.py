"""How far a session is, told at least every two seconds while work goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

UNITS = {"llm": "tokens", "speech": "seconds", "render": "frames", "publish": "bytes"}
SILENCE_SECONDS = 1.5
"""After so long without news the last ones are told again."""
CROWDED_SECONDS = 0.1
"""News of one stage come at most this often, its beginning and end apart."""


@dataclass(frozen=True, slots=True)
class StageEvent:
    """News of one stage.

    Attributes:
        stage: "llm", "speech", "render" or "publish".
        unit: of `done` and `total`: "tokens", "seconds" (of speech), "frames" or "bytes".
        done: so far.
        total: in all, None while unknown.
        percent: 0 to 100; an estimate while the total is unknown; never falls within an attempt.
        elapsed: seconds since the session began.
        finished: the stage is over.
        note: what is waited for, if anything.
    """

    stage: str
    unit: str
    done: float = 0
    total: float | None = None
    percent: int = 0
    elapsed: float = 0
    finished: bool = False
    note: str = ""


OnEvent = Callable[[StageEvent], None]


@dataclass(frozen=True, slots=True)
class StageTiming:
    """When a stage began, gave its first output and ended, in seconds since the session began."""

    begin: float
    first: float
    end: float


class Progress:
    """Keeps what was told of every stage and passes it on.

    Args:
        stages: those of the session, in order.
        on_event: called in the event loop; must not block.
    """

    def __init__(self, stages: Sequence[str], on_event: OnEvent) -> None:
        self._clock = asyncio.get_running_loop().time
        self._start = self._told = self._clock()
        self._on_event = on_event
        self._stages = tuple(stages)
        self._state = {stage: StageEvent(stage, UNITS[stage]) for stage in stages}
        self._times: dict[str, StageTiming] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the session began."""
        return round(self._clock() - self._start, 3)

    @property
    def current(self) -> StageEvent:
        """The first stage that is not over: the one all others wait for."""
        return next((e for e in self._state.values() if not e.finished), self._state[self._stages[-1]])

    @property
    def timings(self) -> dict[str, StageTiming]:
        """Of all stages that began, so far; of a repeated stage, the last time."""
        return {
            stage: timing if self._state[stage].finished else replace(timing, end=self.elapsed)
            for stage, timing in self._times.items()
        }

    def restart(self) -> None:
        """A new attempt: all stages are to be done."""
        for stage in self._stages:
            self._state[stage] = StageEvent(stage, UNITS[stage])

    def begin(self, stage: str) -> None:
        """A stage begins, perhaps anew."""
        now = self.elapsed
        self._times[stage] = StageTiming(now, now, now)
        self._tell(StageEvent(stage, UNITS[stage]))

    def update(self, stage: str, done: float, *, total: float | None = None, expected: float = 0) -> None:
        """A stage got on.

        Args:
            stage: which.
            done: so far, in the stage's unit.
            total: in all, once that is known.
            expected: a guess at the total, for the percent alone.
        """
        old = self._state[stage]
        if done and not old.done:
            self._times[stage] = replace(self._times[stage], first=self.elapsed)
        share = int(100 * done / (total or expected)) if total or expected else 0
        percent = max(old.percent, min(99, share))
        new = replace(old, done=done, total=total or old.total, percent=percent, note="")
        crowded = old.done and self.elapsed - old.elapsed < CROWDED_SECONDS
        if crowded:
            self._state[stage] = replace(new, elapsed=old.elapsed)
        else:
            self._tell(new)

    def wait(self, stage: str, note: str) -> None:
        """A stage waits; `note` says what for."""
        self._tell(replace(self._state[stage], note=note))

    def finish(self, stage: str) -> None:
        """A stage is over."""
        old = self._state[stage]
        self._times[stage] = replace(self._times[stage], end=self.elapsed)
        self._tell(replace(old, total=old.total or old.done, percent=100, finished=True, note=""))

    def skip(self, stage: str) -> None:
        """What a stage makes was there already."""
        self.begin(stage)
        self.finish(stage)

    async def beat(self) -> None:
        """Repeats the last news whenever there were none for a while; runs until cancelled."""
        while True:
            await asyncio.sleep(max(0.05, self._told + SILENCE_SECONDS - self._clock()))
            if self._clock() - self._told >= SILENCE_SECONDS:
                self._tell(self.current)

    def _tell(self, event: StageEvent) -> None:
        self._told = self._clock()
        event = self._state[event.stage] = replace(event, elapsed=self.elapsed)
        self._on_event(event)
