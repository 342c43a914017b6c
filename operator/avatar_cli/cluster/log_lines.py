"""A session's log lines, readable. Pure."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from avatar_core.mistakes import printable

_OWN = {"time", "level", "logger", "message", "exception", "session"}


def readable(line: str) -> str:
    """One line of a pod's log for a terminal; what is no JSON object stays as it is, made printable.

    An exception follows on lines of its own.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return printable(line.expandtabs())
    if not isinstance(entry, dict) or "message" not in entry:
        return printable(line)
    extras = "".join(f" {key}={_shown(value)}" for key, value in entry.items() if key not in _OWN)
    level = str(entry.get("level", "")).upper()
    head = f"{_clock(entry.get('time'))} {level:<7} {entry['message']}{extras}"
    trace = str(entry.get("exception") or "")
    return "\n".join([printable(head), *(f"    {printable(part)}" for part in trace.splitlines())])


def _clock(time: Any) -> str:
    """The time of day here, to the second."""
    try:
        return datetime.fromisoformat(str(time)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "--:--:--"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, str):
        return value if value and " " not in value else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)
