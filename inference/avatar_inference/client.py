"""The client of the inference server: sound in, video and progress out.

async with InferenceClient("127.0.0.1:50051") as client:
    async for event in client.render(RenderConfig(sample_rate=24000), pcm_chunks()):
        match event:
            case Video(): out.write(event.data)
            case Progress(): print(event.done, event.total)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine
from fractions import Fraction
from typing import Any, Self

import grpc

from avatar_core import limits
from avatar_core.tracing import TRACEPARENT
from avatar_inference.engine import RepaintOptions
from avatar_inference.events import (
    FLUSH,
    Accepted,
    FaceBox,
    Finding,
    Flush,
    Prepared,
    PrepareProgress,
    Progress,
    Queued,
    RenderConfig,
    RenderEvent,
    Result,
    Timings,
    Video,
)
from avatar_inference.repaint import repaint_message
from avatar_inference.status import from_rpc_error
from avatar_inference.wire import config_message, prepare_event, render_event
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb
from avatar_protos.v1alpha1 import lip_sync_pb2_grpc as pb_grpc

__all__ = [
    "FLUSH",
    "Accepted",
    "FaceBox",
    "Finding",
    "Flush",
    "InferenceClient",
    "PrepareProgress",
    "Prepared",
    "Progress",
    "Queued",
    "RenderConfig",
    "RenderEvent",
    "RepaintOptions",
    "Result",
    "Timings",
    "Video",
]

MESSAGE_BYTES = 16 * 1024 * 1024


class InferenceClient:
    """A connection to one inference server.

    Args:
        target: HOST:PORT, or unix:PATH.
        root_certificates: PEM of the authorities to trust; with it the connection uses TLS.
        server_name: on the server's certificate, where `target` is not that name.
        token: asked before every call for what is sent as `authorization: Bearer …`; empty sends nothing.
        traceparent: asked likewise for what makes the server's span a child of the caller's (W3C).
    """

    def __init__(
        self,
        target: str,
        *,
        root_certificates: bytes | None = None,
        server_name: str = "",
        token: Callable[[], str] = lambda: "",
        traceparent: Callable[[], str] = lambda: "",
    ) -> None:
        self.target = target
        self._root_certificates = root_certificates
        self._server_name = server_name
        self._token, self._traceparent = token, traceparent

    async def __aenter__(self) -> Self:
        # A window that grows would hide for minutes from the server that nobody reads.
        options: list[tuple[str, int | str]] = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.http2.bdp_probe", 0),
        ]
        if self._server_name:
            options.append(("grpc.ssl_target_name_override", self._server_name))
        if self._root_certificates is None:
            self._channel = grpc.aio.insecure_channel(self.target, options=options)
        else:
            credentials = grpc.ssl_channel_credentials(self._root_certificates)
            self._channel = grpc.aio.secure_channel(self.target, credentials, options=options)
        self._stub = pb_grpc.LipSyncServiceStub(self._channel)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._channel.close()

    async def render(
        self, config: RenderConfig, audio: AsyncIterable[bytes | Flush], *, timeout: float | None = None
    ) -> AsyncIterator[RenderEvent]:
        """Sends sound as it comes and yields events as they come; closing the iterator cancels the render.

        Args:
            config: what to draw.
            audio: s16le PCM in the config's format, in pieces of any size, and `FLUSH` between utterances.
            timeout: seconds for the whole render.

        Raises:
            AvatarError: typed, with field or retry-after where the server told them. An exception raised by
                `audio` cancels the render and passes through.
        """
        call = self._stub.Render(timeout=timeout, metadata=self._metadata())
        first = _FirstStatus(call)
        sending = asyncio.create_task(_send(call, config, audio))
        try:
            while (response := await _read(call, sending)) is not grpc.aio.EOF:
                yield render_event(response)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(first.of(error), self.target) from None
        finally:
            call.cancel()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def prepare(
        self,
        source: AsyncIterable[bytes],
        *,
        name: str = "",
        face_box: FaceBox | None = None,
        face_index: int = 0,
        fps: Fraction | None = None,
        side_max: int = 0,
        repaint: RepaintOptions | None = None,
    ) -> AsyncIterator[PrepareProgress | Prepared]:
        """Sends a photograph or video; yields progress, then what was made of it.

        Args:
            source: its bytes, in pieces of any size.
            name: for people.
            face_box: x, y, width, height in pixels of the source; None looks for the face.
            face_index: take this one of several faces, counted from the largest, from 1; 0 refuses several.
            fps: pictures per second to keep of a video's motion, 5 to 60; None keeps all.
            side_max: larger pictures are scaled down to this long side, 128 to 4096; 0 is 1280.
            repaint: for servers whose engine repaints the lower face; None takes the defaults.

        Raises:
            AvatarError: NoFace, SeveralFaces, InvalidPicture and others.
        """
        config = pb.PrepareAvatarConfig(name=name, face_index=face_index, side_max=side_max)
        if fps is not None:
            config.frame_rate.CopyFrom(pb.FrameRate(numerator=fps.numerator, denominator=fps.denominator))
        if repaint is not None:
            config.repaint.CopyFrom(repaint_message(repaint))
        if face_box is not None:
            x, y, width, height = face_box
            config.face_box.CopyFrom(pb.FaceBox(x=x, y=y, width=width, height=height))

        async def requests() -> AsyncIterator[pb.PrepareAvatarRequest]:
            yield pb.PrepareAvatarRequest(config=config)
            async for chunk in source:
                for at in range(0, len(chunk), limits.MAX_SOURCE_CHUNK_BYTES):
                    yield pb.PrepareAvatarRequest(chunk=chunk[at : at + limits.MAX_SOURCE_CHUNK_BYTES])

        call = self._stub.PrepareAvatar(requests(), metadata=self._metadata())
        first = _FirstStatus(call)
        try:
            async for response in call:
                yield prepare_event(response)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(first.of(error), self.target) from None
        finally:
            call.cancel()

    async def info(self, *, timeout: float | None = None) -> pb.GetServerInfoResponse:
        """What the server can do and how busy it is. Raises AvatarError when it can't be reached."""
        try:
            found: pb.GetServerInfoResponse = await self._stub.GetServerInfo(
                pb.GetServerInfoRequest(), timeout=timeout, metadata=self._metadata()
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self.target) from None
        return found

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token, parent = self._token(), self._traceparent()
        sent = {"authorization": f"Bearer {token}" if token else "", TRACEPARENT: parent}
        return tuple((name, value) for name, value in sent.items() if value)


async def _send(call: Any, config: RenderConfig, audio: AsyncIterable[bytes | Flush]) -> None:
    await call.write(pb.RenderRequest(config=config_message(config)))
    # Pieces must hold whole samples of every channel; what a caller cut in two is joined here.
    whole = 2 * config.channels
    piece_bytes = limits.MAX_AUDIO_CHUNK_BYTES // whole * whole
    rest = b""
    async for piece in audio:
        if isinstance(piece, Flush):
            await call.write(pb.RenderRequest(flush=pb.Flush()))
            continue
        rest += piece
        usable = len(rest) // whole * whole
        for at in range(0, usable, piece_bytes):
            chunk = rest[at : min(at + piece_bytes, usable)]
            await call.write(pb.RenderRequest(audio=pb.AudioChunk(pcm=chunk)))
        rest = rest[usable:]
    if rest:
        await call.write(pb.RenderRequest(audio=pb.AudioChunk(pcm=rest)))
    await call.write(pb.RenderRequest(end=pb.End()))
    await call.done_writing()


async def _read(call: Any, sending: asyncio.Task[None]) -> Any:
    """The next response; a failure of the caller's own sound comes first."""
    reading = asyncio.ensure_future(call.read())
    try:
        if not sending.done():
            await asyncio.wait([reading, sending], return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and (failure := sending.exception()) and not _is_of_the_call(failure):
            raise failure
        return await reading
    finally:
        if not reading.done():
            reading.cancel()


class _FirstStatus:
    """Remembers how a call ended first.

    When a write meets a call the server just ended, grpcio overwrites the server's status by INTERNAL without
    details. The done callback runs before that can happen.
    """

    def __init__(self, call: Any) -> None:
        self._error: grpc.aio.AioRpcError | None = None
        call.add_done_callback(self._note)

    def of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """The server's status where grpcio lost it, else `error` itself."""
        return self._error if self._error and error.code() is grpc.StatusCode.INTERNAL else error

    def _note(self, call: Any) -> None:
        questions = (call.code(), call.initial_metadata(), call.trailing_metadata(), call.details())
        answers = [_now(question) for question in questions]
        if None not in answers:
            self._error = grpc.aio.AioRpcError(*answers)


def _now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that has nothing to wait for; None if it would wait after all."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return None


def _is_of_the_call(failure: BaseException) -> bool:
    """Whether writing failed because the call ended; reading then tells why."""
    return isinstance(failure, grpc.RpcError | asyncio.InvalidStateError)
