"""Reads a RenderConfig into a plan; every field that is out of range is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from avatar_core import limits
from avatar_core.errors import InvalidInputError, Reason
from avatar_core.timeline import milliseconds_to_samples, parse_fps
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb

DEFAULT_FPS = Fraction(limits.PROFILES[limits.DEFAULT_PROFILE].fps)
DEFAULT_BATCH = limits.PROFILES[limits.DEFAULT_PROFILE].batch_size
DEFAULT_AVATAR = "ava"
SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """A checked RenderConfig; units and ranges as in lip_sync.proto."""

    avatar: str
    fps: Fraction
    batch_size: int
    live: bool
    elementary: bool
    height: int | None
    sample_rate: int
    channels: int
    lead_in_samples: int
    tail_samples: int
    latency_budget: float
    allow_lower_fps: bool
    session: str
    max_audio_seconds: int = limits.MAX_AUDIO_SECONDS

    @property
    def bytes_per_second(self) -> int:
        """Of the sound."""
        return self.sample_rate * self.channels * SAMPLE_BYTES


def read_config(config: pb.RenderConfig) -> RenderPlan:
    """Checks a RenderConfig and fills in its defaults.

    Raises:
        InvalidInputError: names the field and what is allowed.
    """
    rate = _within("config.audio_format.sample_rate", config.audio_format.sample_rate, "SAMPLE_RATE")
    return RenderPlan(
        avatar=_short("config.avatar_id", config.avatar_id) or DEFAULT_AVATAR,
        fps=_fps(config),
        batch_size=_batch(config),
        live=config.pace == pb.PACE_LIVE,
        elementary=config.output == pb.OUTPUT_ELEMENTARY,
        height=_height(config.height),
        sample_rate=rate,
        channels=_channels(config.audio_format.channels),
        lead_in_samples=milliseconds_to_samples(
            _optional(config, "lead_in_ms", limits.LEAD_IN_MS, 0, limits.LEAD_IN_MS_MAX), rate
        ),
        tail_samples=milliseconds_to_samples(
            _optional(config, "tail_ms", limits.TAIL_MS, 0, limits.TAIL_MS_MAX), rate
        ),
        latency_budget=_optional(
            config,
            "latency_budget_ms",
            limits.LATENCY_BUDGET_MS,
            limits.LATENCY_BUDGET_MS_MIN,
            limits.LATENCY_BUDGET_MS_MAX,
        )
        / 1000,
        allow_lower_fps=config.allow_lower_frame_rate,
        session=_short("config.session", config.session),
    )


def _refuse(field: str, value: object, allowed: str) -> InvalidInputError:
    return InvalidInputError(
        Reason.INVALID_ARGUMENT, f"{value} is not allowed; must be {allowed}", field=field
    )


def _within(field: str, value: int, limit: str) -> int:
    low, high = getattr(limits, f"{limit}_MIN"), getattr(limits, f"{limit}_MAX")
    if not low <= value <= high:
        raise _refuse(field, value, f"{low} to {high}")
    return value


def _optional(config: pb.RenderConfig, name: str, default: int, low: int, high: int) -> int:
    if not config.HasField(name):
        return default
    value: int = getattr(config, name)
    if not low <= value <= high:
        raise _refuse(f"config.{name}", value, f"{low} to {high} milliseconds")
    return value


def _fps(config: pb.RenderConfig) -> Fraction:
    if not config.HasField("frame_rate"):
        return DEFAULT_FPS
    rate = config.frame_rate
    return parse_fps(f"{rate.numerator}/{rate.denominator or 1}", "config.frame_rate")


def _batch(config: pb.RenderConfig) -> int:
    if not config.HasField("batch_size"):
        return DEFAULT_BATCH
    size = config.batch_size
    if not limits.BATCH_MIN <= size <= limits.BATCH_MAX:
        why = f"{limits.BATCH_MIN} to {limits.BATCH_MAX}; more runs out of memory on small cards"
        raise _refuse("config.batch_size", size, why)
    return size


def _channels(channels: int) -> int:
    if channels > 2:
        raise _refuse("config.audio_format.channels", channels, "1 or 2")
    return channels or 1


def _height(height: int) -> int | None:
    if height == 0:
        return None
    if height % 2 or not limits.HEIGHT_MIN <= height <= limits.HEIGHT_MAX:
        allowed = f"even and {limits.HEIGHT_MIN} to {limits.HEIGHT_MAX}, or 0 for the avatar's own"
        raise _refuse("config.height", height, allowed)
    return height


def _short(field: str, text: str) -> str:
    if len(text) > 253:
        raise _refuse(field, f"a text of {len(text)} characters", "at most 253 characters")
    return text
