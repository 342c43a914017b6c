"""How kopf runs here: it lists, watches and hands events on; it stores nothing and posts nothing."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import kopf

WATCH_SECONDS = 240
"""The server ends each watch after so long, and kopf begins a new one: the pulse of `/healthz`."""

SELDOM_SECONDS = 60.0
_TRY = re.compile(r"#\d+(/\d+)?")


def kopf_settings(selectors: dict[tuple[str, str, str], str]) -> kopf.OperatorSettings:
    """Settings of kopf.

    Args:
        selectors: of labels, by group, version and plural.
    """
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.progress_storage = _NoProgress()
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.inactivity_timeout = 90
    settings.watching.chunk_size = 500
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = _ForEver()
    settings.queueing.exit_timeout = 0.5
    settings.queueing.idle_timeout = 1
    for kind, selector in selectors.items():
        settings.watching.label_selectors[kind] = selector
    return settings


def quiet_kopf() -> None:
    """kopf tells of every event, and of every try of what fails for a long time."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._cogs.clients.watching").filters[:] = [_Seldom()]


class _ForEver:
    """Seconds between tries. kopf ends the process when it runs out of them, also for one namespace alone."""

    def __iter__(self) -> Iterator[float]:
        return chain((0.2, 0.5, 1.0), repeat(2.0))


class _Seldom(logging.Filter):
    """Passes each failing request once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is told."""
        what = _TRY.sub("", record.getMessage())
        now = time.monotonic()
        if now < self._told.get(what, -SELDOM_SECONDS) + SELDOM_SECONDS:
            return False
        self._told = {old: at for old, at in self._told.items() if now < at + SELDOM_SECONDS}
        self._told[what] = now
        return True


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf would copy every object deeply and compare it with what it stored: half of the time of all."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> Any:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Handlers of events have no progress."""

    def fetch(self, *, key: Any, body: Any) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        return None

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        return None

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence
