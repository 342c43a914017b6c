"""The status of a session as plain values; equal values mean that nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Truth = Literal["True", "False", "Unknown"]
SUCCEEDED = "Succeeded"
VIDEO_AVAILABLE = "VideoAvailable"


@dataclass(frozen=True, slots=True)
class Condition:
    """As `metav1.Condition`.

    Attributes:
        type: `Succeeded` or `VideoAvailable`.
        truth: its status.
        reason: CamelCase.
        message: for a person; stable while nothing changes, or every look would be a write.
        since: Unix seconds at which `truth` became what it is.
        generation: of the session it speaks of.
    """

    type: str
    truth: Truth
    reason: str
    message: str
    since: int
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the current stage is: `done` of `total` (None while unknown), 0 to 100 percent.

    `note` says what is waited for, if anything.
    """

    done: float = 0
    total: float | None = None
    percent: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A published MP4.

    Attributes:
        bytes, sha256: of the file.
        seconds, frames: its length.
        fps: frames per second, such as "15" or "30000/1001".
        width, height: pixels.
    """

    bytes: int
    sha256: str
    seconds: float
    frames: int
    fps: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Video:
    """The video: where it can be watched from the first fragment on, and what it is once published.

    Attributes:
        url: signed.
        expires_at: Unix seconds; clean-up may delete it then.
        file: what is published; None before.
    """

    url: str
    expires_at: int
    file: VideoFile | None = None


@dataclass(frozen=True, slots=True)
class StageTime:
    """When a stage began, gave its first output and ended, in seconds since the session's process began."""

    stage: str
    begin: float
    first: float
    end: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used: tokens of the LLM, characters spoken, seconds of speech and of an accelerator.

    `tokens_estimated`: the LLM's server told no numbers.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens_estimated: bool = False
    characters: int = 0
    speech_seconds: float = 0
    gpu_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each part took, in seconds; None while unknown.

    Attributes:
        queue_seconds: from the session's creation to its current Job.
        start_seconds: from the Job to the container's start.
        first_frame_seconds, total_seconds: from the container's start to the first picture and to the video.
        stages: each that ran.
    """

    queue_seconds: float | None = None
    start_seconds: float | None = None
    first_frame_seconds: float | None = None
    total_seconds: float | None = None
    stages: tuple[StageTime, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What a session made, besides the video.

    Attributes:
        reply: what is said; empty for a given sound.
        reply_cut: the token limit cut it.
        usage: what was used.
        engine, avatar, render_id: what drew, which bundle, and its name in the server's logs.
        notes: what a person must know.
    """

    reply: str = ""
    reply_cut: bool = False
    usage: Usage = field(default_factory=Usage)
    engine: str = ""
    avatar: str = ""
    render_id: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What a pod reports of a published video; where it lies is computed, never reported."""

    file: VideoFile
    made: Made = field(default_factory=Made)
    first_frame_seconds: float | None = None
    total_seconds: float | None = None
    stages: tuple[StageTime, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """Everything an operator must still know after a restart, and what a person wants to see.

    Attributes:
        phase: for display only.
        conditions: `Succeeded` and `VideoAvailable`.
        observed_generation: of the spec this speaks of.
        stage, progress: where the current or last attempt is.
        queue_position: 1 is next; None when not in line.
        attempt: the last one for which a Job was created; 0 before the first.
        avatar: the bundle that the attempt under way draws, whatever its Avatar has by now: the sweeper must
            not take it; empty for the built-in, and once `made` tells it.
        job_name: the Job of the attempt under way or of the one that ended the session; empty when another
            attempt is to begin.
        lost_attempts: how many attempts in a row ended without a result or a reason.
        observed_retry: the `spec.retry` that the attempts so far have answered.
        waiting_since: Unix seconds since when something this session names is missing.
        started_at: Unix seconds at which the current attempt's container started.
        completed_at: Unix seconds at which `Succeeded` became true or false.
        video, timings, made: what came of it.
    """

    phase: str = ""
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    stage: str = ""
    progress: Progress | None = None
    queue_position: int | None = None
    attempt: int = 0
    avatar: str = ""
    job_name: str = ""
    lost_attempts: int = 0
    observed_retry: int = 0
    waiting_since: int | None = None
    started_at: int | None = None
    completed_at: int | None = None
    video: Video | None = None
    timings: Timings | None = None
    made: Made | None = None

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    @property
    def succeeded(self) -> Condition | None:
        """What is known about the outcome."""
        return self.condition(SUCCEEDED)

    @property
    def finished(self) -> bool:
        """Whether the outcome is known."""
        outcome = self.succeeded
        return outcome is not None and outcome.truth != "Unknown"
