"""The gRPC face of the server: reads requests, writes responses, maps errors. What happens is elsewhere."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import grpc

from avatar_core import limits
from avatar_core.errors import AvatarError, InferenceError, InvalidInputError, Reason
from avatar_core.tracing import TRACEPARENT, NoSpan, Span, Spans
from avatar_inference import messages
from avatar_inference.admission import Ticket
from avatar_inference.avatars import Avatars, LoadedAvatar
from avatar_inference.door import Door
from avatar_inference.metrics import Metrics
from avatar_inference.plan import RenderPlan, read_config
from avatar_inference.preparation import Preparation
from avatar_inference.render import CHUNKS_UNREAD, FRAMES_IN_FLIGHT, Render
from avatar_inference.status import abort
from avatar_inference.worker import EngineWorker
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb
from avatar_protos.v1alpha1 import lip_sync_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)
PROGRESS_EVERY_SECONDS = 0.5

Requests = AsyncIterator[pb.RenderRequest]
Send = Callable[[pb.RenderResponse], Awaitable[None]]
Context = Any  # grpc.aio.ServicerContext, generic in request and response without help from stubs


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service is made of."""

    avatars: Avatars
    worker: EngineWorker
    door: Door
    listening: Executor
    pool: Executor
    metrics: Metrics
    spans: Spans
    preparation: Preparation
    info: Callable[[], pb.GetServerInfoResponse]
    slow_reader_seconds: float
    max_audio_seconds: int


class LipSyncService(pb_grpc.LipSyncServiceServicer):  # type: ignore[misc]
    """Implements lip_sync.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Returns once no render and no preparation is under way."""
        await self._idle.wait()

    async def Render(self, requests: Requests, context: Context) -> None:  # noqa: N802
        """Draws one video (see the .proto)."""
        call = _Call(self._parts, requests, context)
        await self._guard("Render", call.run, context, session=lambda: call.session)

    async def PrepareAvatar(self, requests: Any, context: Context) -> None:  # noqa: N802
        """Makes and stores a bundle (see the .proto)."""
        work = self._parts.preparation
        await self._guard("PrepareAvatar", lambda span: work.run(requests, context.write), context)

    async def GetServerInfo(  # noqa: N802
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        """Tells what the server can do and how busy it is."""
        return self._parts.info()

    async def _guard(
        self,
        name: str,
        work: Callable[[Span], Awaitable[None]],
        context: Context,
        session: Callable[[], str] = str,
    ) -> None:
        """Runs a call and turns whatever goes wrong into one typed status, one log line and one count."""
        reason: Reason | None = None
        parent = dict(context.invocation_metadata() or ()).get(TRACEPARENT, "")
        span = self._parts.spans.begin(name, {}, parent, remote=True)
        self._under_way += 1
        self._idle.clear()
        try:
            self._parts.door.check_open()
            await work(span)
        except asyncio.CancelledError:
            reason = Reason.CANCELLED
            raise
        except Exception as failure:
            error = _typed(failure)
            reason = error.reason
            if reason is Reason.INTERNAL:
                log.exception("call failed", extra={"session": session()})
            else:
                log.warning("%s", error, extra={"reason": str(reason), "session": session()})
            await abort(context, error)
        finally:
            self._ended()
            span.end(str(reason or ""))
            self._parts.metrics.renders.labels(reason=str(reason or "Succeeded")).inc()

    def _ended(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()


class _Call:
    """One call of Render."""

    def __init__(self, parts: Parts, requests: Requests, context: Context) -> None:
        self._parts = parts
        self._requests = requests
        self._context = context
        self._sending = asyncio.Lock()
        self._started = time.monotonic()
        self._watched_until = self._started  # when all video sent so far will have been played
        self._span: Span = NoSpan()
        self.session = ""

    async def run(self, span: Span) -> None:
        """Draws what is asked for; `span` is told about it."""
        self._span = span
        plan = read_config(await self._first())
        self.session = plan.session
        avatar = await self._parts.avatars.get(plan.avatar)
        name = uuid.uuid4().hex[:16]
        ticket = Ticket(name, plan.fps, plan.live, _held_bytes(plan, avatar), plan.allow_lower_fps)
        rate = self._parts.worker.throughput.frames_per_second
        async with self._parts.door.enter(ticket, rate, self._queued) as fps:
            queued = time.monotonic() - self._started
            self._parts.metrics.queue_seconds.observe(queued)
            parts = self._parts
            effective = replace(plan, fps=fps, max_audio_seconds=parts.max_audio_seconds)
            render = Render(
                name, effective, avatar.bundle, avatar.state, parts.worker, parts.listening, parts.pool
            )
            await self._send(messages.accepted(render, self._parts.worker.engine.name, avatar.id))
            await self._draw(render, avatar, queued)

    async def _first(self) -> pb.RenderConfig:
        async for request in self._requests:
            if request.WhichOneof("request") == "config":
                return request.config
            break
        raise _out_of_order("config", "the first message must be `config`")

    async def _queued(self, position: int, eta: float | None) -> None:
        await self._send(messages.queued(position, eta))

    async def _draw(self, render: Render, avatar: LoadedAvatar, queued: float) -> None:
        """Listens, draws and delivers beside each other until the last piece is out."""
        first_frame = 0.0
        render.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(self._listen(render)),
                    tasks.create_task(self._tell_progress(render)),
                    tasks.create_task(render.encode()),
                ]
                async for chunk in render.pieces():
                    await self._send(messages.video(chunk, render.sequence))
                    self._watched_until = max(self._watched_until, time.monotonic())
                    self._watched_until += 0 if chunk.kind == "audio" else chunk.duration_us / 1e6
                    if not first_frame and chunk.starts_with_keyframe and render.first_sound:
                        first_frame = time.monotonic() - render.first_sound
                for helper in helpers:
                    helper.cancel()
        finally:
            render.close()
        await self._finish(render, avatar, queued, first_frame)

    async def _finish(self, render: Render, avatar: LoadedAvatar, queued: float, first_frame: float) -> None:
        total = time.monotonic() - self._started
        self._parts.metrics.first_frame_seconds.observe(first_frame)
        self._parts.metrics.frames.inc(render.frames_done)
        await self._send(messages.progress(render))
        about = self._parts.worker.engine.receipt
        about = replace(about, notes=(*about.notes, *avatar.bundle.notes))
        await self._send(messages.result(render, queued, first_frame, total, about))
        extra: dict[str, str | int | float] = {
            "render": render.name,
            "session": self.session,
            "frames": render.frames_done,
            "seconds": round(total, 3),
            "first_frame_seconds": round(first_frame, 3),
            "engine_seconds": round(render.spent.engine, 3),
            "encode_seconds": round(render.spent.encode, 3),
        }
        log.info("render finished", extra=extra)
        told = {**extra, "queue_seconds": round(queued, 3), "engine": self._parts.worker.engine.name}
        self._span.tell({f"avatar.{name}": value for name, value in told.items()})

    async def _listen(self, render: Render) -> None:
        """Feeds what the client sends; an `end` must come, and nothing after it."""
        ended = False
        async for request in self._requests:
            match request.WhichOneof("request"):
                case "audio":
                    await render.push(request.audio.pcm)
                case "flush":
                    await render.flush()
                case "end":
                    await render.end()
                    ended = True
                case "config":
                    raise _out_of_order("config", "`config` came twice; send it once, first")
                case _:
                    raise _out_of_order("request", "an empty message; set config, audio, flush or end")
        if not ended:
            raise _out_of_order("end", "the requests stopped without `end`; send `end` last")

    async def _tell_progress(self, render: Render) -> None:
        told = -1
        while True:
            await asyncio.sleep(PROGRESS_EVERY_SECONDS)
            if render.frames_done != told:
                told = render.frames_done
                await self._send(messages.progress(render))

    async def _send(self, response: pb.RenderResponse) -> None:
        """Writes one message; a client that does not read for long loses its place.

        One that plays the video as it comes is no slow reader, and the network may hold minutes: a write
        waits as long as the video sent so far plays, and then the limit.
        """
        limit = self._parts.slow_reader_seconds + max(0.0, self._watched_until - time.monotonic())
        async with self._sending:
            try:
                await asyncio.wait_for(self._context.write(response), limit)
            except TimeoutError:
                message = f"the video was left unread for {limit:.0f} s; read it as it comes"
                raise InferenceError(Reason.SLOW_READER, message) from None
            except grpc.aio.InternalError:
                # gRPC fails a write like this only when the call is over, a moment before it cancels us.
                raise InferenceError(Reason.CANCELLED, "the client went away") from None


def _held_bytes(plan: RenderPlan, avatar: LoadedAvatar) -> int:
    """What a render may hold: sound read ahead, frames in flight, video unread."""
    sound = plan.bytes_per_second * limits.READ_AHEAD_SECONDS
    picture = avatar.bundle.width * avatar.bundle.height * 3
    return sound + picture * (FRAMES_IN_FLIGHT + CHUNKS_UNREAD) // 4


def _out_of_order(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(Reason.INVALID_ARGUMENT, message, field=field)


def _typed(failure: BaseException) -> AvatarError:
    """The typed error behind a failure, whatever tasks it went through; anything else is a bug."""
    while isinstance(failure, BaseExceptionGroup):
        typed = failure.subgroup(AvatarError)
        failure = (typed or failure).exceptions[0]
    if isinstance(failure, AvatarError):
        return failure
    return AvatarError(Reason.INTERNAL, f"{type(failure).__name__} in the server; see its log")
