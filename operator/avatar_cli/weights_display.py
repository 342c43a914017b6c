"""Three ways to show weights being brought: a bar on a terminal, lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from rich.progress import TaskID

    from avatar_inference.musetalk.weights.catalogue import Part
    from avatar_inference.musetalk.weights.fetch import News

EVERY = 5.0
"""Seconds between lines while one file is fetched."""


class Display(Protocol):
    """Shows what `fetch` tells."""

    def begin(self, folder: Path, parts: Sequence[Part]) -> None:
        """What will be brought, and under which licences."""
        ...

    def tell(self, news: News) -> None:
        """How far it is."""
        ...

    def end(self) -> None:
        """It is over, well or not."""
        ...

    def done(self, folder: Path) -> None:
        """All is there."""
        ...


class JsonDisplay:
    """One JSON object a line on standard output."""

    def __init__(self) -> None:
        self._pace = _Pace()

    def begin(self, folder: Path, parts: Sequence[Part]) -> None:
        """One object a part."""
        for part in parts:
            licence = {"event": "wanted", "part": part.name, "bytes": part.origins[0].bytes}
            click.echo(json.dumps(licence | {"licence": part.licence, "caution": part.caution or None}))

    def tell(self, news: News) -> None:
        """At each new stage and note, and now and then while a file comes."""
        if self._pace.due(news):
            click.echo(json.dumps({"event": "progress", **asdict(news)}))

    def end(self) -> None:
        """Nothing to put right."""

    def done(self, folder: Path) -> None:
        """The last object."""
        click.echo(json.dumps({"event": "done", "folder": str(folder)}))


class PlainDisplay:
    """Lines on standard error."""

    def __init__(self) -> None:
        self._pace = _Pace()

    def begin(self, folder: Path, parts: Sequence[Part]) -> None:
        """One line a part."""
        click.echo(headline(folder, parts), err=True)

    def tell(self, news: News) -> None:
        """At each new stage and note, and now and then while a file comes."""
        if self._pace.due(news):
            click.echo(line(news), err=True)

    def end(self) -> None:
        """Nothing to put right."""

    def done(self, folder: Path) -> None:
        """The last line."""
        click.echo(f"The weights are in {folder}.")


class RichDisplay:
    """A bar a part on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=28),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[stage]}", markup=False),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self._sizes: dict[str, int] = {}

    def begin(self, folder: Path, parts: Sequence[Part]) -> None:
        """Licences, then the bars."""
        self._sizes = {part.name: part.origins[0].bytes for part in parts}
        self._bars.start()
        self._bars.console.print(headline(folder, parts), markup=False, highlight=False)

    def tell(self, news: News) -> None:
        """Moves the part's bar; a note stands on a line of its own."""
        if news.note:
            text = f"{news.part}: {news.note}" if news.part else news.note
            self._bars.console.print(text, style="dim", markup=False, highlight=False)
        if not news.part:
            return
        if news.part not in self._tasks:
            self._tasks[news.part] = self._bars.add_task(news.part, total=self._sizes[news.part], stage="")
        done = self._sizes[news.part] if news.stage in ("converting", "ready") else news.done
        self._bars.update(self._tasks[news.part], completed=done, stage=str(news.stage))

    def end(self) -> None:
        """Gives the terminal back."""
        self._bars.stop()

    def done(self, folder: Path) -> None:
        """The last line."""
        click.echo(f"The weights are in {folder}.")


class _Pace:
    """Lets through what is new, and progress of a file every few seconds."""

    def __init__(self) -> None:
        self._last = ("", "", "")
        self._at = 0.0

    def due(self, news: News) -> bool:
        now, key = time.monotonic(), (news.part, str(news.stage), news.note)
        if key == self._last and now - self._at < EVERY:
            return False
        self._last, self._at = key, now
        return True


def headline(folder: Path, parts: Sequence[Part]) -> str:
    """What is wanted, and the licences it comes under."""
    lines = [f"Weights of MuseTalk for {folder}"]
    for part in parts:
        lines.append(f"  {part.name:<10} {part.origins[0].bytes / 1e6:>7,.0f} MB  licence: {part.licence}")
        if part.caution:
            lines.append(f"  {'':<10} {'':>10}  mind: {part.caution}")
    return "\n".join(lines)


def line(news: News) -> str:
    """One line of progress."""
    share = f" {news.done / 1e6:,.0f} of {news.total / 1e6:,.0f} MB" if news.total else ""
    told = f"{news.part}: {news.stage}{share}" if news.part else str(news.stage)
    return f"{told}: {news.note}" if news.note else told


def row_of(part: Part, state: str) -> dict[str, Any]:
    """One part in the list, for programs; `state` is "here", "missing" or "damaged"."""
    origin = part.origins[0]
    return {
        "part": part.name,
        "state": state,
        "purpose": part.purpose,
        "bytes": origin.bytes,
        "licence": part.licence,
        "caution": part.caution or None,
        "optional": part.optional,
        "repository": origin.repository,
        "revision": origin.revision,
        "file": origin.file,
        "sha256": origin.sha256,
    }


def entry(row: dict[str, Any]) -> str:
    """One part in the list, as lines."""
    mark, color = {"here": ("✓", "green"), "missing": ("-", "yellow"), "damaged": ("✗", "red")}[row["state"]]
    size = f"{row['bytes'] / 1e6:,.0f} MB"
    lines = [
        f"{click.style(mark, fg=color)} {row['part']:<10} {size:>9}  {row['purpose']}; {row['state']}",
        f"{'':<23} licence: {row['licence']}",
        f"{'':<23} from {row['repository']}@{row['revision'][:12]}, {row['file']}",
    ]
    if row["caution"]:
        lines.append(f"{'':<23} mind: {row['caution']}")
    if row["optional"]:
        lines.append(f"{'':<23} left out unless asked for: --with {row['part']}")
    return "\n".join(lines)


def choose(*, as_json: bool) -> Display:
    """JSON when asked for, bars when a person watches, else lines."""
    if as_json:
        return JsonDisplay()
    return RichDisplay() if sys.stderr.isatty() and sys.stdout.isatty() else PlainDisplay()
