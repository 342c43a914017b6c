"""Bad input to Render: each a typed error that says what to do; the server and other streams go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.renders import Rendered, collect
from tests.support.sound import babble, pieces

from avatar_core.errors import AvatarError, InferenceError, InvalidInputError, Reason
from avatar_inference.admission import Limits
from avatar_inference.bundle import Bundle
from avatar_inference.bundle_store import BundleStore
from avatar_inference.client import Flush, InferenceClient, RenderConfig, RenderEvent, Video, _FirstStatus
from avatar_inference.server import LIVENESS, Running, ServerSettings, serve
from avatar_inference.status import from_rpc_error
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb
from avatar_protos.v1alpha1 import lip_sync_pb2_grpc as pb_grpc

CONFIG = RenderConfig(sample_rate=16000)


def config(**fields: Any) -> pb.RenderRequest:
    made = pb.RenderConfig(audio_format=pb.AudioFormat(sample_rate=16000), **fields)
    return pb.RenderRequest(config=made)


def audio(pcm: bytes = b"\0\0" * 160) -> pb.RenderRequest:
    return pb.RenderRequest(audio=pb.AudioChunk(pcm=pcm))


FLUSH = pb.RenderRequest(flush=pb.Flush())
END = pb.RenderRequest(end=pb.End())


def rate(numerator: int, denominator: int = 1) -> dict[str, Any]:
    return {"frame_rate": pb.FrameRate(numerator=numerator, denominator=denominator)}


BAD: dict[str, tuple[list[pb.RenderRequest], Reason, str, str]] = {
    "nothing at all": ([], Reason.INVALID_ARGUMENT, "config", "first message"),
    "no config first": ([audio(), END], Reason.INVALID_ARGUMENT, "config", "first message"),
    "second config": ([config(), audio(), config()], Reason.INVALID_ARGUMENT, "config", "once"),
    "audio after end": ([config(), audio(), END, audio()], Reason.INVALID_ARGUMENT, "audio", "`end` last"),
    "flush after end": ([config(), audio(), END, FLUSH], Reason.INVALID_ARGUMENT, "flush", "`end` last"),
    "end twice": ([config(), audio(), END, END], Reason.INVALID_ARGUMENT, "end", "twice"),
    "no end": ([config(), audio()], Reason.INVALID_ARGUMENT, "end", "`end` last"),
    "split samples": (
        [config(), audio(b"\0\0\0"), END],
        Reason.INVALID_ARGUMENT,
        "audio.pcm",
        "multiple of 2",
    ),
    "empty audio": ([config(), audio(b""), END], Reason.INVALID_ARGUMENT, "audio.pcm", "multiple of 2"),
    "too large a chunk": (
        [config(), audio(bytes(262146)), END],
        Reason.INVALID_ARGUMENT,
        "audio.pcm",
        "262144",
    ),
    "no samples": ([config(), END], Reason.INVALID_AUDIO, "audio.pcm", "at least one sample"),
    "no samples but a flush": (
        [config(), FLUSH, END],
        Reason.INVALID_AUDIO,
        "audio.pcm",
        "at least one sample",
    ),
    "empty message": ([config(), pb.RenderRequest()], Reason.INVALID_ARGUMENT, "request", "empty message"),
    "fps 11": ([config(**rate(11))], Reason.INVALID_ARGUMENT, "config.frame_rate", "12 to 30"),
    "fps 31": ([config(**rate(31))], Reason.INVALID_ARGUMENT, "config.frame_rate", "12 to 30"),
    "fps 0": ([config(**rate(0))], Reason.INVALID_ARGUMENT, "config.frame_rate", "12 to 30"),
    "fps huge terms": (
        [config(**rate(15_000_001, 1_000_000))],
        Reason.INVALID_ARGUMENT,
        "config.frame_rate",
        "12",
    ),
    "batch 0": ([config(batch_size=0)], Reason.INVALID_ARGUMENT, "config.batch_size", "1 to 4"),
    "batch 5": ([config(batch_size=5)], Reason.INVALID_ARGUMENT, "config.batch_size", "out of memory"),
    "odd height": ([config(height=257)], Reason.INVALID_ARGUMENT, "config.height", "even"),
    "huge height": ([config(height=100_000)], Reason.INVALID_ARGUMENT, "config.height", "2160"),
    "lead-in": ([config(lead_in_ms=99999)], Reason.INVALID_ARGUMENT, "config.lead_in_ms", "0 to 2000"),
    "long name": ([config(session="x" * 254)], Reason.INVALID_ARGUMENT, "config.session", "253"),
    "unknown name": ([config(avatar_id="eve")], Reason.AVATAR_NOT_FOUND, "config.avatar_id", "sha256:"),
    "path trick": ([config(avatar_id="sha256:../../etc")], Reason.AVATAR_NOT_FOUND, "", ""),
    "unknown bundle": ([config(avatar_id="sha256:" + "0" * 64)], Reason.AVATAR_NOT_FOUND, "", ""),
    "no format": (
        [pb.RenderRequest(config=pb.RenderConfig())],
        Reason.INVALID_ARGUMENT,
        "config.audio_format.sample_rate",
        "8000 to 48000",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_each_mistake_is_named_and_harms_nobody(
    name: str, server: Running, client: InferenceClient
) -> None:
    requests, reason, field, words = BAD[name]
    neighbour = asyncio.create_task(collect(client, CONFIG, pieces(babble(0.5, 16000))))
    async with grpc.aio.insecure_channel(server.target) as channel:
        call = pb_grpc.LipSyncServiceStub(channel).Render(requests_of(requests))
        first = _FirstStatus(call)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
    told = first.of(caught.value)
    error = from_rpc_error(told, server.target)
    assert error.reason is reason
    assert told.code().name == error.info.grpc
    assert field in (error.field or "")
    assert words in error.message
    assert (await neighbour).result
    assert server.parts.door.active == 0


async def requests_of(requests: list[pb.RenderRequest]) -> AsyncIterator[pb.RenderRequest]:
    for request in requests:
        yield request
        # Let the server end the call before more is written; a write to an ended call hides its status.
        await asyncio.sleep(0.01)


async def test_a_client_gone_mid_stream_frees_its_place_at_once(
    server: Running, client: InferenceClient
) -> None:
    async def endless() -> AsyncIterator[bytes | Flush]:
        while True:
            yield babble(1.0, 16000)

    stream = client.render(CONFIG, endless())
    async for event in stream:
        if isinstance(event, Video):
            break
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(2):
        while server.parts.door.active:
            await asyncio.sleep(0.005)
    assert (await collect(client, CONFIG, pieces(babble(0.3, 16000)))).result


async def test_the_sound_of_one_render_is_bounded(tmp_path: Path) -> None:
    settings = ServerSettings(port=0, bundle_store=tmp_path, max_audio_seconds=2)
    async with serve(settings) as running, InferenceClient(running.target) as client:
        with pytest.raises(InvalidInputError) as caught:
            await collect(client, CONFIG, pieces(babble(3.0, 16000)))
        assert caught.value.reason is Reason.AUDIO_TOO_LONG


def noisy_avatar(store: Path) -> str:
    """Pictures of noise fill the network's own buffers soon; half a megabyte a second."""
    noise = np.random.default_rng(0).integers(0, 255, (30, 256, 256, 3)).astype(np.uint8)
    times, nobody = range(0, 2_000_010, 66_667), (None,) * 30
    arrays = {name: np.zeros((30, n), np.float32) for name, n in (("photo.mouth", 4), ("photo.lips", 2))}
    bundle = Bundle("noise", "preview", 256, 256, times, nobody, nobody, noise, arrays)
    return BundleStore(store).put(bundle)


@pytest.mark.slow
async def test_a_client_that_plays_the_video_as_it_comes_is_no_slow_reader(tmp_path: Path) -> None:
    """Its window is the network's default, which holds seconds of video: writes stand still for as long."""
    avatar = noisy_avatar(tmp_path)
    sound = pb.RenderRequest(audio=pb.AudioChunk(pcm=babble(5.0, 16000)))
    requests = [config(avatar_id=avatar), sound, sound, sound, END]
    settings = ServerSettings(port=0, bundle_store=tmp_path, slow_reader_seconds=1.0)
    async with serve(settings) as running, grpc.aio.insecure_channel(running.target) as channel:
        call = pb_grpc.LipSyncServiceStub(channel).Render(requests_of(requests))
        started, played, last = time.monotonic(), 0.0, None
        async for last in call:
            played += last.video.duration_us / 1e6
            await asyncio.sleep(max(0.0, played - (time.monotonic() - started)))
        assert last.WhichOneof("response") == "result"


async def test_a_slow_reader_loses_its_place_and_harms_nobody(tmp_path: Path) -> None:
    async def much() -> AsyncIterator[bytes | Flush]:
        for _ in range(30):
            yield babble(1.0, 16000)

    avatar = noisy_avatar(tmp_path)
    settings = ServerSettings(port=0, bundle_store=tmp_path, slow_reader_seconds=1.0)
    async with serve(settings) as running, InferenceClient(running.target) as client:
        reading = client.render(replace(CONFIG, avatar=avatar), much())
        other = asyncio.create_task(collect(client, CONFIG, pieces(babble(2.0, 16000))))
        await read_until_video(reading)
        await left(running)
        with pytest.raises(InferenceError) as caught:
            await read_until_video(reading, count=10_000)
        assert caught.value.reason is Reason.SLOW_READER
        assert (await other).result


async def read_until_video(events: AsyncIterator[RenderEvent], count: int = 1) -> None:
    async for event in events:
        count -= isinstance(event, Video)
        if count == 0:
            return


async def left(running: Running) -> None:
    async with asyncio.timeout(120):
        while running.parts.door.active:
            await asyncio.sleep(0.05)


async def test_a_failing_source_of_sound_cancels_the_render(server: Running, client: InferenceClient) -> None:
    async def broken() -> AsyncIterator[bytes | Flush]:
        yield babble(0.3, 16000)
        raise OSError("microphone unplugged")

    with pytest.raises(OSError, match="microphone unplugged"):
        await collect(client, CONFIG, broken())
    async with asyncio.timeout(2):
        while server.parts.door.active:
            await asyncio.sleep(0.005)


async def test_a_deadline_is_honoured(server: Running, client: InferenceClient) -> None:
    async def slow() -> AsyncIterator[bytes | Flush]:
        yield babble(0.3, 16000)
        await asyncio.sleep(30)

    with pytest.raises(InferenceError) as caught:
        async for _ in client.render(CONFIG, slow(), timeout=0.5):
            pass
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    async with asyncio.timeout(2):
        while server.parts.door.active:
            await asyncio.sleep(0.005)


async def test_a_missing_server_is_named() -> None:
    async with InferenceClient("127.0.0.1:1") as client:
        with pytest.raises(InferenceError) as caught:
            await collect(client, CONFIG, pieces(babble(0.1, 16000)))
    assert caught.value.reason is Reason.INFERENCE_UNAVAILABLE
    assert "127.0.0.1:1" in str(caught.value)


async def test_an_engine_that_fails_ends_its_streams_and_the_server_goes_on(
    server: Running, client: InferenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = server.parts.worker.engine
    whole: Callable[[Any], Any] = engine.render

    def once(frames: Any) -> Any:
        monkeypatch.setattr(engine, "render", whole)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine, "render", once)
    with pytest.raises(AvatarError) as caught:
        await collect(client, CONFIG, pieces(babble(0.5, 16000)))
    assert caught.value.reason is Reason.INTERNAL
    assert "out of memory" not in str(caught.value)
    assert (await collect(client, CONFIG, pieces(babble(0.3, 16000)))).result


async def test_plain_text_on_an_open_address_needs_consent(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="--insecure"):
        async with serve(ServerSettings(host="0.0.0.0", port=0, bundle_store=tmp_path)):
            pass


async def test_draining_finishes_what_was_accepted_and_refuses_new(tmp_path: Path) -> None:
    go_on, first = asyncio.Event(), Rendered()

    async def held() -> AsyncIterator[bytes | Flush]:
        yield babble(0.3, 16000)
        await go_on.wait()
        yield babble(0.3, 16000)

    manager = serve(ServerSettings(port=0, bundle_store=tmp_path))
    running = await manager.__aenter__()
    async with InferenceClient(running.target) as client:
        accepted = asyncio.create_task(collect(client, CONFIG, held(), first))
        async with asyncio.timeout(10):
            while first.accepted is None:
                await asyncio.sleep(0.01)
        stopping = asyncio.create_task(manager.__aexit__(None, None, None))
        async with asyncio.timeout(10):
            while not running.parts.door.draining:
                await asyncio.sleep(0.01)
        with pytest.raises(InferenceError) as caught:
            await collect(client, CONFIG, pieces(babble(0.1, 16000)))
        assert caught.value.reason is Reason.INFERENCE_UNAVAILABLE
        async with InferenceClient(running.target) as newcomer:  # it is told so, and not just refused
            assert (await newcomer.info()).draining
            with pytest.raises(InferenceError, match="draining"):
                await anext(newcomer.prepare(pieces(babble(0.1, 16000))))  # type: ignore[arg-type]
        async with grpc.aio.insecure_channel(running.target) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            health = await stub.Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
            # Whoever restarted it now would lose what was accepted.
            alive = await stub.Check(health_pb2.HealthCheckRequest(service=LIVENESS))
            assert alive.status == health_pb2.HealthCheckResponse.SERVING
        assert not stopping.done()
        go_on.set()
        assert (await accepted).result
        await stopping


async def test_draining_sends_those_in_line_to_another_server(tmp_path: Path) -> None:
    go_on, first, second = asyncio.Event(), Rendered(), Rendered()

    async def held() -> AsyncIterator[bytes | Flush]:
        yield babble(0.3, 16000)
        await go_on.wait()

    manager = serve(ServerSettings(port=0, bundle_store=tmp_path, limits=Limits(1, 10, 2**31)))
    running = await manager.__aenter__()
    async with InferenceClient(running.target) as client, asyncio.timeout(30):
        drawn = asyncio.create_task(collect(client, CONFIG, held(), first))
        while first.accepted is None:
            await asyncio.sleep(0.01)
        waits = asyncio.create_task(collect(client, CONFIG, pieces(babble(0.1, 16000)), second))
        while not second.queued:
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(manager.__aexit__(None, None, None))
        with pytest.raises(InferenceError, match="draining"):
            await waits
        go_on.set()
        assert (await drawn).result
        await stopping
