"""AvatarSession: one video to be made, and what it really runs with (profile and defaults applied)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from avatar_core import limits
from avatar_core.resources import rules
from avatar_core.resources.base import (
    PARAGRAPHS_PATTERN,
    ApiVersion,
    Flag,
    Line,
    Metadata,
    Number,
    Reference,
    Resource,
    Whole,
)
from avatar_core.resources.rules import Rule
from avatar_core.resources.session_status import SessionStatus

Seconds = Annotated[Whole, Field(ge=0, le=limits.VIDEO_TTL_SECONDS_MAX)]


def _written_rate(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError("rule", "{text}", {"text": rules.FPS.message, "field": ""})
    return value


Rate = Annotated[
    int | str,
    BeforeValidator(_written_rate),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "maxLength": 32}),
    rules.FPS,
]
"""Frames per second as written: 15, "29.97" or "30000/1001"; a binary 29.97 is no frame rate."""


class LLMSpec(Resource):
    """How the reply is written."""

    model: Line | None = None
    """Instead of the provider's model."""
    max_tokens: Annotated[Whole, Field(ge=1, le=limits.MAX_TOKENS_MAX)] | None = None
    """Tokens of the reply, at most; default 100 (150 in profile legacy). A reply cut by it ends at its last
    whole sentence."""
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    """How freely words are chosen; default: the server's."""
    system_prompt: (
        Annotated[str, Field(max_length=limits.PROMPT_BYTES_MAX, pattern=PARAGRAPHS_PATTERN)] | None
    ) = None
    """What the LLM is told about its part."""


class SpeechSpec(Resource):
    """How the reply is spoken."""

    voice: Line | None = None
    """A voice of the provider, or a language tag such as fr-FR."""
    # An API server holds whole numbers against the whole part of a minimum, so 0 would pass 0.25.
    speed: Annotated[
        Number,
        Field(ge=0.25, le=4, json_schema_extra={"allOf": [{"minimum": 0, "exclusiveMinimum": True}]}),
    ] = 1.0
    """1 is normal."""


class VideoSpec(Resource):
    """How the face is drawn. Explicit fields win over the profile."""

    profile: Literal["fast", "balanced", "quality", "legacy"] = limits.DEFAULT_PROFILE  # type: ignore[assignment]
    """fast: 12 frames per second, batches of 1; balanced: 15 and 2; quality: 18 and 2; legacy: 25 and 4."""
    fps: Rate | None = None
    """Frames per second, 12 to 30: a whole number, or in quotes '29.97' or '30000/1001'."""
    batch_size: Annotated[Whole, rules.BATCH_SIZE] | None = None
    """Frames of this session in one step while others wait, 1 to 4."""
    height: Annotated[Whole, Field(ge=limits.HEIGHT_MIN, le=limits.HEIGHT_MAX, multiple_of=2)] | None = None
    """Pixels, even; the width follows. Default: the avatar's own."""


class SessionSpec(Resource):
    """What a person wants: exactly one of `prompt`, `text` and `audio`, and how."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.ONE_INPUT,
        rules.IMMUTABLE,
        rules.CANCEL_STAYS,
        rules.RETRY_GROWS,
    )

    prompt: Annotated[str, Field(min_length=1, max_length=limits.PROMPT_BYTES_MAX), rules.PROMPT] | None = (
        None
    )
    """What an LLM is asked; its answer is spoken."""
    text: Annotated[str, Field(min_length=1, max_length=limits.TEXT_BYTES_MAX), rules.TEXT] | None = None
    """What is spoken, as it is."""
    audio: Annotated[str, Field(min_length=1, max_length=2048), rules.AUDIO] | None = None
    """Sound the lips move to: an https:// address; on a laptop, a file."""
    avatar_ref: Reference | None = None
    """The Avatar that speaks. Default: the built-in ava."""
    provider_ref: Reference | None = None
    """The AvatarProvider of replies and voices. Default: the one named `default`, else espeak."""
    llm: LLMSpec = LLMSpec()
    speech: SpeechSpec = SpeechSpec()
    video: VideoSpec = VideoSpec()
    start_timeout_seconds: Annotated[Whole, Field(ge=1, le=limits.START_TIMEOUT_SECONDS_MAX)] = (
        limits.START_TIMEOUT_SECONDS_DEFAULT
    )
    """Seconds to find a node and pull the image; after that the session fails."""
    timeout_seconds: Annotated[Whole, Field(ge=1, le=limits.TIMEOUT_SECONDS_MAX)] = (
        limits.TIMEOUT_SECONDS_DEFAULT
    )
    """Seconds from the container's start to the published video; after that the session fails."""
    video_ttl_seconds: Seconds = Field(default=limits.VIDEO_TTL_SECONDS_DEFAULT, alias="videoTTLSeconds")
    """Seconds the video is kept once it is there."""
    ttl_seconds_after_finished: Seconds | None = None
    """Seconds after its end until this object is deleted, and its video with it. Default: never."""
    suspend: Flag = False
    """Pauses: the pod is deleted and the clocks stop; finished stages are kept."""
    cancel: Flag = False
    """Ends the session for good."""
    retry: Annotated[Whole, Field(ge=0, le=limits.RETRY_MAX)] = 0
    """Add 1 for another attempt; it goes on after the last finished stage."""
    continue_from: Reference | None = None
    """An earlier session whose turns the LLM is told first."""


class AvatarSession(Resource):
    """One video to be made."""

    RULES: ClassVar[tuple[Rule, ...]] = (rules.SESSION_NAME, rules.CONTINUES_ANOTHER)

    api_version: ApiVersion
    kind: Literal["AvatarSession"]
    metadata: Metadata
    spec: SessionSpec
    status: SessionStatus = SessionStatus()


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
        fps=Fraction(spec.video.fps or profile.fps),
        batch_size=spec.video.batch_size or profile.batch_size,
        max_tokens=spec.llm.max_tokens or profile.max_tokens,
        height=spec.video.height,
    )
