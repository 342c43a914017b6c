"""What the operator tells of a session."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from avatar_core import limits
from avatar_core.resources.base import Amount, BundleId, Conditions, Count, Number, Resource, Sha256, Whole

Stage = Literal["llm", "speech", "render", "publish"]
Word = Annotated[str, Field(max_length=253)]


class StageProgress(Resource):
    """How far the stage is."""

    done: Amount = 0
    """Tokens, seconds of speech, frames or bytes so far."""
    total: Amount | None = None
    """In all; absent while nobody knows."""
    percent: Annotated[Whole, Field(ge=0, le=100)] = 0
    """Never falls within an attempt."""
    note: Annotated[str, Field(max_length=1024)] = ""
    """What is waited for, if anything."""


class StageTiming(Resource):
    """When a stage began, gave its first output and ended, in seconds since the attempt began."""

    begin: Amount
    first: Amount
    end: Amount


class Timings(Resource):
    """How long each part took."""

    queue_seconds: Amount | None = None
    """From creation to the Job."""
    start_seconds: Amount | None = None
    """From the Job to the container's start."""
    first_frame_seconds: Amount | None = None
    """From the container's start to the first fragment with a picture."""
    total_seconds: Amount | None = None
    """From the container's start to the published video."""
    llm: StageTiming | None = None
    speech: StageTiming | None = None
    render: StageTiming | None = None
    publish: StageTiming | None = None


class VideoStatus(Resource):
    """The video: where it is, or was."""

    url: Annotated[str, Field(max_length=2048)] = ""
    """Where to watch it, from the time the Job is created."""
    bytes: Count | None = None
    sha256: Sha256 | None = None
    seconds: Amount | None = None
    frames: Count | None = None
    fps: Annotated[str, Field(max_length=32)] | None = None
    """Frames per second, such as 15 or 30000/1001."""
    width: Count | None = None
    height: Count | None = None
    expires_at: datetime | None = None
    """After this it is deleted."""


class Usage(Resource):
    """What it cost."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    tokens_estimated: bool = False
    """The LLM's server told no numbers."""
    characters: Count = 0
    """Spoken."""
    speech_seconds: Amount = 0
    gpu_seconds: Annotated[Number, Field(ge=0, le=1e12)] = 0
    """0 on the CPU."""


class SessionStatus(Resource):
    """How the session is, as the operator last saw it."""

    phase: Word | None = None
    """In one word, for people; programs read conditions."""
    conditions: Conditions = ()
    """Succeeded: Unknown while it goes on, then True or False; VideoAvailable: the video can be watched."""
    observed_generation: Count | None = None
    """The generation of the spec this status is about."""
    stage: Stage | None = None
    """Of the running attempt."""
    progress: StageProgress | None = None
    queue_position: Count | None = None
    """Sessions to be started before this one, itself included; absent when it does not wait for a place."""
    job_name: Annotated[str, Field(max_length=63)] | None = None
    """The Job of the current attempt."""
    attempt: Count | None = None
    """Counts from 1."""
    lost_attempts: Count | None = None
    """Attempts in a row that ended without a result or a reason."""
    observed_retry: Count | None = None
    """The spec.retry that the attempts so far have answered."""
    waiting_since: datetime | None = None
    """Since when something that the session names is missing."""
    started_at: datetime | None = None
    """When the container of the current attempt started."""
    completed_at: datetime | None = None
    """When Succeeded became True or False."""
    reply: Annotated[str, Field(max_length=limits.REPLY_CHARACTERS_MAX)] | None = None
    """What is said."""
    reply_cut: bool = False
    """The token limit cut the reply; it ends at its last whole sentence."""
    video: VideoStatus | None = None
    timings: Timings | None = None
    usage: Usage | None = None
    engine: Word | None = None
    """What drew, such as preview or musetalk."""
    avatar: BundleId | None = None
    """The bundle that is drawn; absent for the built-in until it was drawn."""
    render_id: Word | None = None
    """Of the render in the inference server's logs and the video's metadata."""
    notes: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=16)] = ()
    """What a person must know about the result."""
