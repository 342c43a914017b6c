"""How far a run is, as plain values: what every display shows, apart from how it looks.

Times are seconds of one monotonic clock, handed in, so that nothing here waits or guesses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

TITLES = {"llm": "write", "speech": "speak", "render": "draw", "publish": "publish"}
TITLES |= {"prepare": "prepare", "download": "fetch"}
"""What a stage does, in a word for people."""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """One stage.

    Attributes:
        stage: such as "render".
        unit: of `done` and `total`: "tokens", "seconds", "frames", "pictures" or "bytes".
        done: so far.
        total: in all, None while unknown.
        guess: percent, as estimated by whoever does the work; counts while the total is unknown.
        began, seen: when it was first and last heard of.
        known: its share, 0 to 1, when it was first heard of, which may be late; paces are counted from there.
        first: `done` then.
        finished: it is over.
    """

    stage: str
    unit: str
    began: float
    seen: float
    done: float = 0
    total: float | None = None
    guess: int = 0
    finished: bool = False
    first: float = 0
    known: float = 0

    @property
    def percent(self) -> int | None:
        """0 to 100, rounded down; None while nobody knows."""
        if self.finished:
            return 100
        if self.total:
            return min(100, int(100 * self.done / self.total))
        return self.guess or None

    @property
    def rate(self) -> float | None:
        """Units a second since it was first heard of; None before there is anything to divide."""
        spent, got = self.seen - self.began, self.done - self.first
        return got / spent if spent > 0 and got > 0 else None

    @property
    def share(self) -> float:
        """0 to 1; 0 while nobody knows."""
        return self.done / self.total if self.total else self.guess / 100

    def eta(self, now: float) -> float | None:
        """Seconds until it is over at the pace so far; None while unknown or over."""
        got = self.share - self.known
        if self.finished or got <= 0 or self.seen <= self.began:
            return None
        left = (self.seen - self.began) * max(0.0, 1 - self.share) / got
        return max(0.0, left - (now - self.seen))


@dataclass(frozen=True, slots=True)
class Progress:
    """All stages of one run, in the order they were first heard of, and what is waited for, if anything."""

    stages: tuple[StageProgress, ...] = ()
    note: str = ""

    def update(
        self,
        stage: str,
        unit: str,
        now: float,
        *,
        done: float,
        total: float | None = None,
        guess: int = 0,
        finished: bool = False,
    ) -> Progress:
        """With news of one stage. A count never goes back, unless to 0: then the stage begins anew."""
        known = next((s for s in self.stages if s.stage == stage), None)
        anew = known is None or (done == 0 and not finished and (known.done > 0 or known.finished))
        old = StageProgress(stage, unit, began=now, seen=now) if anew or known is None else known
        new = replace(
            old,
            seen=now,
            done=max(done, old.done),
            total=total if total is not None else old.total,
            guess=max(guess, old.guess),
            finished=finished or old.finished,
        )
        if new.began == now:
            new = replace(new, first=new.done, known=new.share)
        others = self.stages if known else (*self.stages, new)
        return replace(self, stages=tuple(new if s.stage == stage else s for s in others), note="")

    def waiting(self, note: str) -> Progress:
        """Nothing moves; `note` says what is waited for."""
        return replace(self, note=note)

    @property
    def active(self) -> tuple[StageProgress, ...]:
        """Stages begun and not over."""
        return tuple(stage for stage in self.stages if not stage.finished)


def due(shown: Progress, current: Progress, age: float, every: float) -> bool:
    """Whether a line must be printed: a stage began or ended, or the last line is `every` seconds old."""
    changed = [(s.stage, s.finished) for s in shown.stages] != [(s.stage, s.finished) for s in current.stages]
    return changed or age >= every


def amount(stage: StageProgress) -> str:
    """ "120/266 frames", "42 tokens", "1.2/4.0 MB" """
    scale, unit, digits = {"bytes": (1e6, "MB", 1), "seconds": (1, "s of sound", 1)}.get(
        stage.unit, (1, stage.unit, 0)
    )
    total = f"/{stage.total / scale:.{digits}f}" if stage.total else ""
    return f"{stage.done / scale:.{digits}f}{total} {unit}"


def detail(stage: StageProgress, now: float) -> str:
    """ "120/266 frames, 38.2 frames/s, 4 s left" """
    parts = [amount(stage)]
    if stage.unit in ("frames", "pictures") and stage.rate:
        parts.append(f"{stage.rate:.1f} {stage.unit}/s")
    if (eta := stage.eta(now)) is not None:
        parts.append(f"{eta:.0f} s left")
    return ", ".join(parts)


def line(stage: StageProgress, now: float) -> str:
    """One stage as one line for a pipe or a log."""
    percent = "  -  " if stage.percent is None else f"{stage.percent:3d} %"
    return f"{TITLES.get(stage.stage, stage.stage):<8} {percent}  {detail(stage, now)}"
