"""The custom resources as a person writes them: AvatarSession and AvatarProvider, group avatars.dev.

The same models read a file on a laptop and an object in a cluster. They are frozen; what a session really
runs with (profile and defaults applied) is `SessionSettings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, field_validator, model_validator
from pydantic.alias_generators import to_camel

from avatar_core import limits
from avatar_core.errors import InvalidInputError
from avatar_core.timeline import parse_fps

API_VERSION = "avatars.dev/v1alpha1"

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
SessionName = Annotated[str, Field(min_length=1, max_length=52, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Text = Annotated[str, Field(min_length=1, max_length=limits.TEXT_BYTES_MAX)]
Url = Annotated[str, Field(max_length=2048, pattern=r"^https?://")]
Seconds = Annotated[int, Field(ge=0, le=limits.VIDEO_TTL_SECONDS_MAX)]


def _known_rate(fps: object) -> Fraction:
    try:
        return parse_fps(fps)
    except InvalidInputError as error:
        raise ValueError(error.message) from None


class Resource(BaseModel):
    """Base of every part of a resource: frozen, camelCase in YAML, nothing unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel, frozen=True, extra="forbid", validate_by_name=True, allow_inf_nan=False
    )


class Metadata(Resource):
    """The part of ObjectMeta a manifest needs; what a server adds is ignored."""

    model_config = ConfigDict(extra="ignore")
    name: SessionName
    namespace: Name = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Reference(Resource):
    """An object of the same namespace."""

    name: Name


class SecretKeyReference(Resource):
    """One key of a Secret of the same namespace; on a laptop, the environment variable named `key`."""

    name: Name = "environment"
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class LLMSpec(Resource):
    """How the reply is written."""

    model: Annotated[str, Field(max_length=253)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=limits.MAX_TOKENS_MAX)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    system_prompt: Annotated[str, Field(max_length=limits.PROMPT_BYTES_MAX)] | None = None


class SpeechSpec(Resource):
    """How the reply is spoken: a voice of the provider or a language tag such as fr-FR; speed 1 is normal."""

    voice: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    speed: Annotated[float, Field(ge=0.25, le=4)] = 1.0


class VideoSpec(Resource):
    """How the face is drawn. Explicit fields win over the profile."""

    profile: Literal["fast", "balanced", "quality", "legacy"] = limits.DEFAULT_PROFILE  # type: ignore[assignment]
    fps: Annotated[Fraction, PlainValidator(_known_rate, json_schema_input_type=int | str)] | None = None
    batch_size: Annotated[int, Field(ge=limits.BATCH_MIN, le=limits.BATCH_MAX)] | None = None
    height: Annotated[int, Field(ge=limits.HEIGHT_MIN, le=limits.HEIGHT_MAX, multiple_of=2)] | None = None


class SessionSpec(Resource):
    """What a person wants: exactly one of `prompt`, `text` and `audio`, and how."""

    prompt: Annotated[str, Field(min_length=1, max_length=limits.PROMPT_BYTES_MAX)] | None = None
    text: Text | None = None
    audio: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    avatar_ref: Reference | None = None
    provider_ref: Reference | None = None
    llm: LLMSpec = LLMSpec()
    speech: SpeechSpec = SpeechSpec()
    video: VideoSpec = VideoSpec()
    start_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = limits.START_TIMEOUT_SECONDS_DEFAULT
    timeout_seconds: Annotated[int, Field(ge=1, le=limits.TIMEOUT_SECONDS_MAX)] = (
        limits.TIMEOUT_SECONDS_DEFAULT
    )
    video_ttl_seconds: Seconds = Field(default=limits.VIDEO_TTL_SECONDS_DEFAULT, alias="videoTTLSeconds")
    ttl_seconds_after_finished: Seconds | None = None
    suspend: bool = False
    cancel: bool = False
    retry: Annotated[int, Field(ge=0, le=1000)] = 0
    continue_from: Reference | None = None

    @field_validator("prompt", "text")
    @classmethod
    def _bounded_bytes(cls, value: str | None, info: Any) -> str | None:
        limit = limits.PROMPT_BYTES_MAX if info.field_name == "prompt" else limits.TEXT_BYTES_MAX
        if value is not None and len(value.encode()) > limit:
            raise ValueError(f"is {len(value.encode())} bytes of UTF-8; at most {limit} are allowed")
        if value is not None and not value.strip():
            raise ValueError("must not be blank")
        return value

    @model_validator(mode="after")
    def _one_input(self) -> SessionSpec:
        given = [name for name in ("prompt", "text", "audio") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"exactly one of prompt, text and audio must be set; found {found}")
        return self


class AvatarSession(Resource):
    """One video to be made."""

    api_version: Literal["avatars.dev/v1alpha1"]
    kind: Literal["AvatarSession"]
    metadata: Metadata
    spec: SessionSpec


class LLMProvider(Resource):
    """An OpenAI-compatible chat endpoint."""

    base_url: Url | None = Field(default=None, alias="baseURL")
    model: Annotated[str, Field(min_length=1, max_length=253)]
    api_key_secret_ref: SecretKeyReference | None = None


class SpeechProvider(Resource):
    """A voice: `espeak` (built in) or an OpenAI-compatible speech endpoint."""

    type: Literal["espeak", "openai"] = "espeak"
    base_url: Url | None = Field(default=None, alias="baseURL")
    model: Annotated[str, Field(min_length=1, max_length=253)] = "gpt-4o-mini-tts"
    voice: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    api_key_secret_ref: SecretKeyReference | None = None


class ProviderSpec(Resource):
    """Where replies and voices come from. Without `llm` only `text` and `audio` sessions work."""

    llm: LLMProvider | None = None
    speech: SpeechProvider = SpeechProvider()


class AvatarProvider(Resource):
    """An LLM and a TTS that sessions refer to by name."""

    api_version: Literal["avatars.dev/v1alpha1"]
    kind: Literal["AvatarProvider"]
    metadata: Metadata
    spec: ProviderSpec


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session runs with, profile and defaults applied.

    Attributes:
        fps: 12 to 30, exact.
        batch_size: 1 to 4.
        max_tokens: of the reply.
        height: pixels, or None for the avatar's own.
    """

    fps: Fraction
    batch_size: int
    max_tokens: int
    height: int | None


def settle(spec: SessionSpec) -> SessionSettings:
    """Applies profile and defaults; explicit fields win."""
    profile = limits.PROFILES[spec.video.profile]
    return SessionSettings(
        fps=spec.video.fps or Fraction(profile.fps),
        batch_size=spec.video.batch_size or profile.batch_size,
        max_tokens=spec.llm.max_tokens or profile.max_tokens,
        height=spec.video.height,
    )
