"""Lines, JSON and bars out of the same state."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import sys

import pytest

from avatar_cli import board
from avatar_cli.board import Board
from avatar_cli.display import Display, JsonDisplay, PlainDisplay, RichDisplay, choose
from avatar_cli.progress import Progress


def a_run(display: Display) -> None:
    """Ten seconds of speech at ten pieces of news a second, then frames."""
    display.begin("hello")
    progress = Progress()
    for tenth in range(101):
        progress = progress.update("speech", "seconds", tenth / 10, done=tenth / 10, total=10.0)
        display.show(progress, tenth / 10)
    progress = progress.update("speech", "seconds", 10.1, done=10, finished=True)
    progress = progress.update("render", "frames", 10.1, done=30, total=150)
    display.show(progress, 10.1)
    display.show(progress.waiting("waiting: [Errno 111] [/x] refused"), 11.2)
    display.end()
    display.end()


def test_lines_come_at_a_calm_pace_and_never_more_than_two_seconds_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    a_run(PlainDisplay())
    captured = capsys.readouterr()
    assert captured.out == "", "standard output is for results"
    lines = captured.err.splitlines()
    assert lines[0] == "hello"
    speech = [line for line in lines if line.startswith("speak")]
    assert 10 <= len(speech) <= 13
    assert speech[-1].startswith("speak    100 %")
    assert any(line.startswith("draw      20 %  30/150 frames") for line in lines)
    assert lines[-1] == "waiting: [Errno 111] [/x] refused"
    assert "\x1b" not in captured.err


def test_json_is_one_object_a_line_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    a_run(JsonDisplay())
    captured = capsys.readouterr()
    assert captured.err == ""
    entries = [json.loads(line) for line in captured.out.splitlines()]
    assert entries[0] == {"event": "started", "name": "hello"}
    render = next(entry for entry in entries if entry.get("stage") == "render")
    assert {key: render[key] for key in ("event", "name", "unit", "done", "total", "percent")} == {
        "event": "progress",
        "name": "hello",
        "unit": "frames",
        "done": 30,
        "total": 150,
        "percent": 20,
    }
    assert [entry["finished"] for entry in entries if entry.get("stage") == "speech"][-1] is True
    assert entries[-1]["event"] == "waiting"


def test_bars_show_stage_percent_rate_and_note(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    display = RichDisplay()
    a_run(display)
    shown = screen.getvalue()
    for expected in ("hello", "speak", "100%", "draw", "20%", "[Errno 111] [/x]"):
        assert expected in shown
    assert shown.rstrip(" \n").endswith("\x1b[?25h"), "the cursor is visible again"


def test_bars_only_when_a_person_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(choose(as_json=False), PlainDisplay)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(choose(as_json=False), PlainDisplay), "standard output is still a pipe"
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert isinstance(choose(as_json=False), RichDisplay)
    assert isinstance(choose(as_json=True), JsonDisplay)


async def test_a_board_speaks_also_while_nothing_is_heard(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "TICK", 0.001)
    seconds = itertools.count()
    async with Board(PlainDisplay(), "quiet", lambda: float(next(seconds))) as quiet:
        quiet.update("llm", "tokens", 0)
        while next(seconds) < 100:
            await asyncio.sleep(0.001)
    assert capsys.readouterr().err.count("write") >= 10
