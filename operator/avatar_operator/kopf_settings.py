"""How kopf runs here: it lists, watches and hands events on; it stores nothing and posts nothing."""

from __future__ import annotations

from typing import Any

import kopf

WATCH_SECONDS = 240
"""The server ends each watch after so long, and kopf begins a new one: the pulse of `/healthz`."""


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
    settings.networking.error_backoffs = (0.2, 0.5, 1, *(2,) * 60)
    settings.queueing.exit_timeout = 0.5
    settings.queueing.idle_timeout = 1
    for kind, selector in selectors.items():
        settings.watching.label_selectors[kind] = selector
    return settings


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
