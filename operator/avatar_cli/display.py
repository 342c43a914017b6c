"""Three ways to show how far a run is: bars on a terminal, lines in a pipe, JSON for programs.

Progress goes to standard error, so that standard output holds results alone; JSON is the result and goes to
standard output.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Protocol

import click

from avatar_cli.progress import TITLES, Progress, StageProgress, detail, due, line

if TYPE_CHECKING:
    from rich.progress import TaskID

LINE_EVERY = 1.0
"""Seconds between lines in a pipe while work goes on; together with the ticker's 0.5 s never above 2."""
NOTE_EVERY = 10.0
"""Seconds between lines that say the same note, in a pipe: what waits for a cluster may wait for long."""
JSON_EVERY = 0.25
"""Seconds between objects."""


class Display(Protocol):
    """Shows progress. Called from one thread, at each news and at least twice a second."""

    def begin(self, title: str) -> None:
        """A run of this name begins."""
        ...

    def show(self, progress: Progress, now: float) -> None:
        """The state at `now`."""
        ...

    def end(self) -> None:
        """The run is over, well or not; leaves the terminal as it was. Safe to call twice."""
        ...


class PlainDisplay:
    """Lines on standard error."""

    def __init__(self) -> None:
        self._shown, self._at = Progress(), 0.0
        self._noted, self._noted_at = "", 0.0

    def begin(self, title: str) -> None:
        """Starts anew with a headline."""
        self._shown, self._at = Progress(), 0.0
        self._noted = ""
        click.echo(title, err=True)

    def show(self, progress: Progress, now: float) -> None:
        """Prints what is active or just ended, when it is due."""
        if not due(self._shown, progress, now - self._at, LINE_EVERY):
            return
        over = {stage.stage for stage in self._shown.stages if stage.finished}
        for stage in progress.stages:
            if stage.stage not in over:
                click.echo(line(stage, now), err=True)
        if progress.note and (progress.note != self._noted or now - self._noted_at >= NOTE_EVERY):
            click.echo(progress.note, err=True)
            self._noted_at = now
        self._noted = progress.note
        self._shown, self._at = progress, now

    def end(self) -> None:
        """Nothing to put right."""


class JsonDisplay:
    """One JSON object a line on standard output."""

    def __init__(self) -> None:
        self._shown, self._at, self._title = Progress(), 0.0, ""

    def begin(self, title: str) -> None:
        """Starts anew."""
        self._shown, self._at, self._title = Progress(), 0.0, title
        click.echo(json.dumps({"event": "started", "name": title}))

    def show(self, progress: Progress, now: float) -> None:
        """Prints the stages that changed, when it is due."""
        if not due(self._shown, progress, now - self._at, JSON_EVERY):
            return
        for stage in progress.stages:
            if stage not in self._shown.stages:
                click.echo(json.dumps(self._entry(stage, now)))
        if progress.note and progress.note != self._shown.note:
            click.echo(json.dumps({"event": "waiting", "name": self._title, "message": progress.note}))
        self._shown, self._at = progress, now

    def end(self) -> None:
        """Nothing to put right."""

    def _entry(self, stage: StageProgress, now: float) -> dict[str, object]:
        eta = stage.eta(now)
        return {
            "event": "progress",
            "name": self._title,
            "stage": stage.stage,
            "unit": stage.unit,
            "done": round(stage.done, 3),
            "total": stage.total,
            "percent": stage.percent,
            "perSecond": round(stage.rate, 2) if stage.rate else None,
            "etaSeconds": None if eta is None else round(eta, 2),
            "finished": stage.finished,
        }


class RichDisplay:
    """Bars on a terminal, one a stage."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self._note = ""

    def begin(self, title: str) -> None:
        """Starts anew with a headline."""
        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks = {}
        self._bars.start()
        self._bars.console.print(title, style="bold", markup=False, highlight=False)

    def show(self, progress: Progress, now: float) -> None:
        """Moves the bars; a note stands beside the bar that waits, or on a line while there is no bar."""
        if progress.note and not progress.active and progress.note != self._note:
            self._bars.console.print(progress.note, style="dim", markup=False, highlight=False)
        self._note = progress.note
        for stage in progress.stages:
            if stage.stage not in self._tasks:
                title = TITLES.get(stage.stage, stage.stage)
                self._tasks[stage.stage] = self._bars.add_task(title, total=None, detail="")
            shown = progress.note if progress.note and stage in progress.active else detail(stage, now)
            # In percent, since an estimate may be all there is; a bar without a total only pulses.
            whole = None if stage.percent is None else 100
            self._bars.update(
                self._tasks[stage.stage], completed=stage.percent or 0, total=whole, detail=shown
            )

    def end(self) -> None:
        """Leaves the bars as they are and gives the terminal back."""
        self._bars.stop()


def choose(*, as_json: bool) -> Display:
    """JSON when asked for, bars when a person watches, else lines."""
    if as_json:
        return JsonDisplay()
    return RichDisplay() if sys.stderr.isatty() and sys.stdout.isatty() else PlainDisplay()
