"""Between the contract's messages and the client's plain values; pure."""

from __future__ import annotations

from fractions import Fraction

from google.protobuf.duration_pb2 import Duration

from avatar_inference.events import (
    Accepted,
    Finding,
    Prepared,
    PrepareProgress,
    Progress,
    Queued,
    RenderConfig,
    RenderEvent,
    Result,
    Timings,
    Video,
    VideoKind,
)
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb

_KINDS: dict[int, VideoKind] = {
    pb.VideoChunk.KIND_INIT: "init",
    pb.VideoChunk.KIND_FRAGMENT: "fragment",
    pb.VideoChunk.KIND_VIDEO_UNIT: "video",
    pb.VideoChunk.KIND_AUDIO_UNIT: "audio",
}


def config_message(config: RenderConfig) -> pb.RenderConfig:
    """The first request of a render."""
    return pb.RenderConfig(
        avatar_id=config.avatar,
        frame_rate=pb.FrameRate(numerator=config.fps.numerator, denominator=config.fps.denominator),
        batch_size=config.batch_size,
        pace=pb.PACE_LIVE if config.live else pb.PACE_OFFLINE,
        output=pb.OUTPUT_ELEMENTARY if config.elementary else pb.OUTPUT_FRAGMENTED_MP4,
        height=config.height or 0,
        audio_format=pb.AudioFormat(sample_rate=config.sample_rate, channels=config.channels),
        lead_in_ms=config.lead_in_ms,
        tail_ms=config.tail_ms,
        latency_budget_ms=config.latency_budget_ms,
        allow_lower_frame_rate=config.allow_lower_fps,
        session=config.session,
    )


def _seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9


def render_event(response: pb.RenderResponse) -> RenderEvent:
    """A response of the wire as an event."""
    match response.WhichOneof("response"):
        case "queued":
            queued = response.queued
            return Queued(queued.position, _seconds(queued.eta) if queued.HasField("eta") else None)
        case "accepted":
            return _accepted(response.accepted)
        case "progress":
            progress = response.progress
            return Progress(progress.frames_done, progress.frames_total or None)
        case "video":
            return _video(response.video)
        case _:
            return _result(response.result)


def _accepted(accepted: pb.Accepted) -> Accepted:
    return Accepted(
        render_id=accepted.render_id,
        engine=accepted.engine,
        avatar=accepted.avatar_id,
        fps=Fraction(accepted.frame_rate.numerator, accepted.frame_rate.denominator),
        batch_size=accepted.batch_size,
        width=accepted.width,
        height=accepted.height,
    )


def _video(chunk: pb.VideoChunk) -> Video:
    return Video(
        kind=_KINDS[chunk.kind],
        sequence=chunk.sequence,
        start=chunk.start_us / 1e6,
        duration=chunk.duration_us / 1e6,
        starts_with_keyframe=chunk.starts_with_keyframe,
        data=chunk.data,
    )


def _result(result: pb.RenderResult) -> Result:
    timings = result.timings
    return Result(
        frames=result.frames,
        duration=_seconds(result.duration),
        sha256=result.sha256,
        bytes=result.bytes,
        timings=Timings(
            queued=_seconds(timings.queued),
            first_frame=_seconds(timings.first_frame),
            features=_seconds(timings.features),
            engine=_seconds(timings.engine),
            encode=_seconds(timings.encode),
            total=_seconds(timings.total),
        ),
        gpu_seconds=result.gpu_seconds,
        notes=tuple(result.notes),
        audio_windows=result.audio_windows,
        weights=dict(result.weights),
    )


def prepare_event(response: pb.PrepareAvatarResponse) -> PrepareProgress | Prepared:
    """A response of PrepareAvatar as an event."""
    if response.WhichOneof("response") == "progress":
        progress = response.progress
        return PrepareProgress(progress.stage, progress.pictures_done, progress.pictures_total or None)
    made = response.result
    findings = tuple(Finding(f.reason, f.message, f.first_picture, f.last_picture) for f in made.findings)
    return Prepared(made.avatar_id, made.width, made.height, made.pictures, findings, made.preview_png)
