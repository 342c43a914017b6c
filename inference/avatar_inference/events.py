"""What passes between a caller and `InferenceClient`: plain frozen values, no protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import Literal

from avatar_core import limits

VideoKind = Literal["init", "fragment", "video", "audio"]


class Flush(Enum):
    """Sent between pieces of sound: a complete utterance ends here, draw to here now."""

    FLUSH = "flush"


FLUSH = Flush.FLUSH


@dataclass(frozen=True, slots=True)
class RenderConfig:
    """What to draw; see RenderConfig in lip_sync.proto for units and ranges."""

    sample_rate: int
    channels: int = 1
    avatar: str = ""
    fps: Fraction = Fraction(15)
    batch_size: int = 2
    live: bool = False
    elementary: bool = False
    height: int | None = None
    lead_in_ms: int = limits.LEAD_IN_MS
    tail_ms: int = limits.TAIL_MS
    latency_budget_ms: int = limits.LATENCY_BUDGET_MS
    allow_lower_fps: bool = False
    session: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting; position 1 is next. `eta` in seconds, None while unknown."""

    position: int
    eta: float | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the server really does."""

    render_id: str
    engine: str
    avatar: str
    fps: Fraction
    batch_size: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Frames drawn and encoded; `total` is None until the end of the sound was sent."""

    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Video:
    """A piece of the video, in order; times in seconds."""

    kind: VideoKind
    sequence: int
    start: float
    duration: float
    starts_with_keyframe: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds; the stages overlap."""

    queued: float
    first_frame: float
    features: float
    engine: float
    encode: float
    total: float


@dataclass(frozen=True, slots=True)
class Result:
    """The receipt; the last event."""

    frames: int
    duration: float
    sha256: str
    bytes: int
    timings: Timings
    gpu_seconds: float
    notes: tuple[str, ...]
    audio_windows: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)


RenderEvent = Queued | Accepted | Progress | Video | Result


@dataclass(frozen=True, slots=True)
class PrepareProgress:
    """How far a preparation is; `total` is None while unknown."""

    stage: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the source worth knowing, for pictures first_picture..last_picture."""

    reason: str
    message: str
    first_picture: int
    last_picture: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """The stored bundle: its id, size, what was found, and a PNG of box and mask."""

    avatar: str
    width: int
    height: int
    pictures: int
    findings: tuple[Finding, ...]
    preview_png: bytes


FaceBox = tuple[int, int, int, int]
"""x, y, width, height in pixels of the source."""
