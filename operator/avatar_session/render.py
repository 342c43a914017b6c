"""The third stage: speech becomes a fragmented MP4, drawn by the inference server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import cast

from avatar_core.errors import AvatarError, InferenceError, Reason
from avatar_core.timeline import frame_count
from avatar_inference.client import (
    Accepted,
    InferenceClient,
    Queued,
    RenderConfig,
    RenderEvent,
    Result,
    Video,
)
from avatar_inference.client import Progress as Frames
from avatar_session.job import SessionJob
from avatar_session.progress import Progress
from avatar_session.retry import Deadline, RetryPolicy
from avatar_session.spool import Spool, write_whole

GRACE_SECONDS = 1.0
"""The server's deadline lies behind ours, so that ours is the one that is told."""

Connect = Callable[[], AbstractAsyncContextManager[InferenceClient]]
OnVideo = Callable[[Video], None]
"""Offered every piece of video as it comes; must not block. An `init` piece begins the video anew."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A whole render.

    Attributes:
        accepted: what the server really did.
        result: its receipt.
        first_frame_seconds: from the session's start to the first fragment with a picture.
    """

    accepted: Accepted
    result: Result
    first_frame_seconds: float


async def render(
    connect: Connect,
    job: SessionJob,
    spool: Spool,
    target: Path,
    progress: Progress,
    deadline: Deadline,
    policy: RetryPolicy,
    on_video: OnVideo,
) -> Rendered:
    """Draws the spool's speech while it is written; all of it again when the server fails on the way.

    Args:
        connect: opens a connection to an inference server.
        job: says what to draw.
        spool: may still be written.
        target: file for the fragments; replaced.
        progress, deadline, policy: of the session.
        on_video: sees the fragments as they come.

    Raises:
        AvatarError: final, or tried often enough.
    """
    await spool.until_format_known()
    progress.begin("render")
    for tried in count(1):
        try:
            rendered = await _once(connect, job, spool, target, progress, deadline, on_video)
            progress.finish("render")
            return rendered
        except AvatarError as error:
            pause = policy.pause(tried, error, deadline.remaining())
            if pause is None:
                raise
            progress.wait("render", f"{error}; trying again in {pause:.1f} s")
            await asyncio.sleep(pause)
    raise AssertionError


async def _once(
    connect: Connect,
    job: SessionJob,
    spool: Spool,
    target: Path,
    progress: Progress,
    deadline: Deadline,
    on_video: OnVideo,
) -> Rendered:
    config = _config(job, spool)
    drawing = _Drawing(spool, config, progress)
    timeout = deadline.remaining() + GRACE_SECONDS
    async with connect() as client:
        events = client.render(config, spool.read(), timeout=timeout)
        with target.open("wb", buffering=0) as file:
            async with aclosing(cast("AsyncGenerator[RenderEvent, None]", events)):
                async for event in events:
                    drawing.take(event)
                    if isinstance(event, Video):
                        write_whole(file, event.data)
                        on_video(event)
    return drawing.whole()


def _config(job: SessionJob, spool: Spool) -> RenderConfig:
    settings = job.settings
    return RenderConfig(
        sample_rate=spool.rate,
        channels=spool.channels,
        avatar=job.avatar,
        fps=settings.fps,
        batch_size=settings.batch_size,
        height=settings.height,
        session=f"{job.namespace}/{job.name}",
    )


class _Drawing:
    """What one render has told so far."""

    def __init__(self, spool: Spool, config: RenderConfig, progress: Progress) -> None:
        self._spool, self._config, self._progress = spool, config, progress
        self._digest = hashlib.sha256()
        self._accepted: Accepted | None = None
        self._result: Result | None = None
        self._first_frame: float | None = None

    def take(self, event: object) -> None:
        match event:
            case Queued(position, eta):
                about = "" if eta is None else f", about {eta:.0f} s"
                self._progress.wait("render", f"waiting for the server: position {position}{about}")
            case Accepted():
                self._accepted = event
            case Frames(done, total):
                expected = frame_count(self._spool.samples, self._spool.rate, self._config.fps)
                self._progress.update("render", done, total=total, expected=expected)
            case Video(kind, data=data):
                self._digest.update(data)
                if kind != "init" and self._first_frame is None:
                    self._first_frame = self._progress.elapsed
            case Result():
                self._result = event

    def whole(self) -> Rendered:
        """Everything, checked. Raises InferenceError when something is missing or damaged."""
        if self._accepted is None or self._result is None or self._first_frame is None:
            raise InferenceError(Reason.INFERENCE_UNAVAILABLE, "the render ended without a result")
        if self._result.sha256 != self._digest.hexdigest():
            raise InferenceError(Reason.INFERENCE_UNAVAILABLE, "the video was damaged on its way")
        return Rendered(self._accepted, self._result, self._first_frame)
