"""Which flag of `avatar run` sets which field of a session: one table to set by and to tell mistakes by."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

FIELDS: Mapping[str, str] = {
    "text": "spec.text",
    "prompt": "spec.prompt",
    "audio": "spec.audio",
    "model": "spec.llm.model",
    "voice": "spec.speech.voice",
    "profile": "spec.video.profile",
    "fps": "spec.video.fps",
    "batch_size": "spec.video.batchSize",
    "height": "spec.video.height",
    "timeout": "spec.timeoutSeconds",
}
_ELSEWHERE = {"llm_url": "spec.llm.baseURL", "avatar": "config.avatar_id"}
"""Flags that set no field of a session, and the field that is named when they are wrong."""
INPUTS = ("text", "prompt", "audio")


def flag_of(field: str | None) -> str | None:
    """The flag that sets `field`, if there is one."""
    fields = {**FIELDS, **_ELSEWHERE}
    found = next((name for name, path in fields.items() if path == field), None)
    return f"--{found.replace('_', '-')}" if found else None


def override(document: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a session's document in which every flag that was given wins."""
    result = deepcopy(dict(document))
    for name, value in flags.items():
        if value is not None:
            *parents, last = FIELDS[name].split(".")
            place = result
            for part in parents:
                place = place.setdefault(part, {})
            place[last] = value
    return result
