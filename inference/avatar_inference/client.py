"""The client of the inference server: sound in, video and progress out.

    async with InferenceClient("127.0.0.1:50051") as client:
        async for event in client.render(RenderConfig(sample_rate=24000), pcm_chunks()):
            match event:
                case Video(): out.write(event.data)
                case Progress(): print(event.done, event.total)
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Literal, Self

from avatar_core import limits


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

    kind: Literal["init", "fragment", "video", "audio"]
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


RenderEvent = Queued | Accepted | Progress | Video | Result


class InferenceClient:
    """A connection to one inference server.

    Args:
        target: HOST:PORT, or unix:PATH.
        root_certificates: PEM to trust; with it the connection uses TLS.
        token: sent as bearer token when given; needs TLS or loopback.
    """

    def __init__(self, target: str, *, root_certificates: bytes | None = None, token: str | None = None) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *exc: object) -> None:
        raise NotImplementedError

    def render(
        self, config: RenderConfig, audio: AsyncIterable[bytes | Flush], *, timeout: float | None = None
    ) -> AsyncIterator[RenderEvent]:
        """Sends the sound as it comes and yields events as they come; closing the iterator cancels the render.

        `audio` yields s16le PCM in the config's format, in pieces of any size, and `FLUSH`.

        Raises:
            AvatarError: typed, with field or retry-after where the server told them.
        """
        raise NotImplementedError
