"""Builds the responses of the server; pure."""

from __future__ import annotations

from fractions import Fraction

from avatar_inference.encoder import Chunk
from avatar_inference.engine import EngineReceipt
from avatar_inference.render import Render
from avatar_inference.status import duration
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb

KINDS = {
    "init": pb.VideoChunk.KIND_INIT,
    "fragment": pb.VideoChunk.KIND_FRAGMENT,
    "video": pb.VideoChunk.KIND_VIDEO_UNIT,
    "audio": pb.VideoChunk.KIND_AUDIO_UNIT,
}


def frame_rate(fps: Fraction) -> pb.FrameRate:
    """A frame rate as the contract writes it."""
    return pb.FrameRate(numerator=fps.numerator, denominator=fps.denominator)


def queued(position: int, eta: float | None) -> pb.RenderResponse:
    """Place in line; `eta` in seconds."""
    message = pb.Queued(position=position)
    if eta is not None:
        message.eta.CopyFrom(duration(eta))
    return pb.RenderResponse(queued=message)


def accepted(render: Render, engine: str, avatar: str) -> pb.RenderResponse:
    """What the server will really do."""
    width, height = render.size
    message = pb.Accepted(
        render_id=render.name,
        engine=engine,
        avatar_id=avatar,
        frame_rate=frame_rate(render.plan.fps),
        batch_size=render.plan.batch_size,
        width=width,
        height=height,
    )
    return pb.RenderResponse(accepted=message)


def progress(render: Render) -> pb.RenderResponse:
    """How far the drawing is."""
    total = render.frames_total or 0
    return pb.RenderResponse(progress=pb.Progress(frames_done=render.frames_done, frames_total=total))


def video(chunk: Chunk, sequence: int) -> pb.RenderResponse:
    """A piece of the video."""
    message = pb.VideoChunk(
        kind=KINDS[chunk.kind],
        sequence=sequence,
        start_us=chunk.start_us,
        duration_us=chunk.duration_us,
        starts_with_keyframe=chunk.starts_with_keyframe,
        data=chunk.data,
    )
    return pb.RenderResponse(video=message)


def result(
    render: Render, queued: float, first_frame: float, total: float, about: EngineReceipt
) -> pb.RenderResponse:
    """The receipt; times in seconds."""
    timings = pb.RenderTimings(
        queued=duration(queued),
        first_frame=duration(first_frame),
        features=duration(render.spent.features),
        engine=duration(render.spent.engine),
        encode=duration(render.spent.encode),
        total=duration(total),
    )
    message = pb.RenderResult(
        frames=render.frames_done,
        duration=duration(float(render.frames_done / render.plan.fps)),
        sha256=render.sha256,
        bytes=render.bytes,
        timings=timings,
        gpu_seconds=render.gpu_seconds,
        notes=about.notes,
        audio_windows=about.windows,
        weights=about.weights,
    )
    return pb.RenderResponse(result=message)
