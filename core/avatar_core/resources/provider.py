"""AvatarProvider: an LLM and a TTS that sessions refer to by name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from avatar_core.resources import rules
from avatar_core.resources.base import (
    ApiVersion,
    Conditions,
    Count,
    Line,
    Metadata,
    Resource,
    SecretKeyReference,
)

Url = Annotated[str, Field(min_length=1, max_length=2048), rules.BASE_URL]


class LLMProvider(Resource):
    """An OpenAI-compatible chat endpoint."""

    base_url: Url | None = Field(default=None, alias="baseURL")
    """Such as http://vllm.models.svc:8000/v1. Default: OpenAI's."""
    model: Line
    """The name that server knows its model by."""
    api_key_secret_ref: SecretKeyReference | None = None
    """Where the key is; absent: none is sent."""


class SpeechProvider(Resource):
    """A voice: `espeak` (built in) or an OpenAI-compatible speech endpoint."""

    type: Literal["espeak", "openai"] = "espeak"
    """espeak needs no server and no key."""
    base_url: Url | None = Field(default=None, alias="baseURL")
    """Of the speech endpoint. Default: OpenAI's."""
    model: Line = "gpt-4o-mini-tts"
    """The name that server knows its model by."""
    voice: Line | None = None
    """For sessions that name none."""
    api_key_secret_ref: SecretKeyReference | None = None
    """Where the key is; absent: none is sent."""


class ProviderSpec(Resource):
    """Where replies and voices come from. Without `llm` only `text` and `audio` sessions work."""

    llm: LLMProvider | None = None
    speech: SpeechProvider = SpeechProvider()


class ProviderStatus(Resource):
    """Whether sessions can use it."""

    conditions: Conditions = ()
    """Ready: sessions can use it."""
    observed_generation: Count | None = None
    """The generation of the spec this status is about."""


class AvatarProvider(Resource):
    """An LLM and a TTS that sessions refer to by name."""

    api_version: ApiVersion
    kind: Literal["AvatarProvider"]
    metadata: Metadata
    spec: ProviderSpec
    status: ProviderStatus = ProviderStatus()
