"""The resolved session: one JSON document that a pod reads as a file, never as environment or arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from avatar_core.tracing import trace_id_of
from avatar_operator.objects import AvatarView, ProviderView, SessionView, Turn
from avatar_operator.settings import Fetch

LLM_KEY_VARIABLE = "AVATAR_LLM_API_KEY"
SPEECH_KEY_VARIABLE = "AVATAR_SPEECH_API_KEY"
HISTORY_BYTES = 64 * 1024
"""Annotations of one object hold 256 KiB in all; a spec takes at most 30 of them."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a session names, looked up."""

    avatar: AvatarView = field(default_factory=AvatarView)
    provider: ProviderView = field(default_factory=ProviderView)
    turns: tuple[Turn, ...] = ()


def resolved_document(session: SessionView, attempt: int, inputs: Inputs, fetch: Fetch) -> str:
    """All that the pod must know, as canonical JSON.

    Keys are named by environment variables of ours: the names of a Secret's keys would otherwise become
    variables such as LD_PRELOAD.
    """
    document = {
        "name": session.name,
        "namespace": session.namespace,
        "uid": session.uid,
        "attempt": attempt,
        "trace": trace_id_of(session.uid, attempt),
        "spec": json.loads(session.spec.document),
        "provider": _with_variables(inputs.provider) if inputs.provider.found else {},
        "avatar": inputs.avatar.bundle,
        "history": [{"role": turn.role, "text": turn.text} for turn in recent(inputs.turns)],
        "fetch": fetch_document(fetch),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def fetch_document(fetch: Fetch) -> dict[str, list[str]]:
    """Where a pod may fetch from, as `avatar_core.addresses.AddressRules.read` takes it."""
    return {"refuse": list(fetch.refuse), "allow": list(fetch.allow)}


def recent(turns: Sequence[Turn], room: int = HISTORY_BYTES) -> tuple[Turn, ...]:
    """The latest turns that fit into `room` bytes as JSON; the first one is a user's."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        room -= len(json.dumps(turn.text, ensure_ascii=False).encode()) + 40
        if room < 0:
            break
        kept.append(turn)
    while kept and kept[-1].role != "user":
        kept.pop()
    return tuple(reversed(kept))


def _with_variables(provider: ProviderView) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(provider.document)
    for part, key, variable in (
        ("llm", provider.llm_key, LLM_KEY_VARIABLE),
        ("speech", provider.speech_key, SPEECH_KEY_VARIABLE),
    ):
        if key is not None:
            document[part]["apiKeySecretRef"] = {"name": "environment", "key": variable}
    return document
