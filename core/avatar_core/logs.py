"""Structured logs: one JSON object a line for machines, a plain line for people. Never a secret in either."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, message, and every `extra` field."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def configure_logs(level: str = "info", *, json_lines: bool = True, stream: TextIO | None = None) -> None:
    """Sends all logs to one stream (standard error unless told), as JSON lines or plain lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonFormatter() if json_lines else plain)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def spellings(secret: str) -> list[str]:
    """What a secret may look like in a message: as it is, trimmed, quoted, escaped; the longest first."""
    plain = {secret, secret.strip()}
    quoted = {form(each)[1:-1] for each in plain for form in (repr, json.dumps)}
    doubled = {json.dumps(each)[1:-1] for each in quoted}
    return sorted({*plain, *quoted, *doubled} - {""}, key=len, reverse=True)
