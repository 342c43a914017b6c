"""Render through a real gRPC server with the real preview engine."""

from __future__ import annotations

import asyncio
import hashlib
import io
import urllib.request
from collections.abc import AsyncIterator
from fractions import Fraction

import av
import numpy as np
import pytest
from tests.support.renders import Rendered, collect
from tests.support.sound import babble, pieces

from avatar_inference.client import FLUSH, Flush, InferenceClient, RenderConfig
from avatar_inference.server import Running

CONFIG = RenderConfig(sample_rate=22050, session="test")


def decoded(data: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


async def test_messages_come_in_order_and_the_receipt_is_true(client: InferenceClient) -> None:
    rendered = await collect(client, CONFIG, pieces(babble(2.0)))
    assert rendered.accepted
    assert rendered.accepted.engine == "preview"
    assert rendered.accepted.avatar.startswith("sha256:")
    assert [piece.sequence for piece in rendered.video] == list(range(len(rendered.video)))
    assert [piece.kind for piece in rendered.video[:2]] == ["init", "fragment"]
    assert rendered.video[1].starts_with_keyframe
    assert rendered.result
    frames = -(-242 * 15 // 100)  # 0.12 s + 2 s + 0.3 s at 15 fps
    assert rendered.result.frames == frames == len(decoded(rendered.data))
    assert rendered.result.sha256 == hashlib.sha256(rendered.data).hexdigest()
    assert rendered.result.bytes == len(rendered.data)
    assert rendered.result.duration == pytest.approx(frames / 15)
    assert rendered.seconds == pytest.approx(frames / 15, abs=1e-3)
    assert rendered.progress[-1].done == rendered.progress[-1].total == frames
    assert any("preview" in note for note in rendered.result.notes)


@pytest.mark.parametrize("size", [2, 999, 4410, 262144])
async def test_chunking_changes_no_frame(client: InferenceClient, size: int) -> None:
    sound = babble(0.6)
    whole = await collect(client, CONFIG, pieces(sound, len(sound)))
    cut = await collect(client, CONFIG, pieces(sound, size))
    assert cut.fragments == whole.fragments


async def test_a_flush_delivers_all_frames_that_began(client: InferenceClient) -> None:
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def audio() -> AsyncIterator[bytes | Flush]:
        yield babble(1.0)
        yield FLUSH
        waiting.set()
        await go_on.wait()
        yield babble(0.5, seed=1)

    rendered = Rendered()
    task = asyncio.create_task(collect(client, CONFIG, audio(), rendered))
    await waiting.wait()
    wanted = -(-112 * 15 // 100) / 15  # all frames that begin before 0.12 s + 1 s
    async with asyncio.timeout(10):
        while rendered.seconds < wanted - 1e-3:
            await asyncio.sleep(0.01)
    assert rendered.seconds == pytest.approx(wanted, abs=1e-3)
    go_on.set()
    await task
    assert rendered.result
    assert rendered.result.frames == -(-192 * 15 // 100)


async def test_the_silence_before_and_after_is_the_clients_choice(client: InferenceClient) -> None:
    config = RenderConfig(sample_rate=16000, lead_in_ms=0, tail_ms=0, fps=Fraction(25))
    rendered = await collect(client, config, pieces(babble(1.0, 16000)))
    assert rendered.result
    assert rendered.result.frames == 25


async def test_one_sample_is_one_video_of_one_frame(client: InferenceClient) -> None:
    config = RenderConfig(sample_rate=16000, lead_in_ms=0, tail_ms=0)
    rendered = await collect(client, config, pieces(b"\0\0"))
    assert rendered.result
    assert rendered.result.frames == 1 == len(decoded(rendered.data))


async def test_silence_draws_a_closed_mouth(client: InferenceClient) -> None:
    silent = await collect(client, CONFIG, pieces(bytes(22050)))
    talking = await collect(client, CONFIG, pieces(babble(0.5)))
    mouth = np.s_[300:480, 150:362]
    still = decoded(silent.data)
    spread = np.ptp(np.stack([frame[mouth] for frame in still]).astype(int), axis=0).mean()
    moving = np.ptp(np.stack([frame[mouth] for frame in decoded(talking.data)]).astype(int), axis=0).mean()
    assert moving > 3 * spread


async def test_height_scales_the_video(client: InferenceClient) -> None:
    rendered = await collect(client, RenderConfig(sample_rate=16000, height=256), pieces(babble(0.2, 16000)))
    assert rendered.accepted
    assert (rendered.accepted.width, rendered.accepted.height) == (256, 256)
    assert decoded(rendered.data)[0].shape == (256, 256, 3)


async def test_elementary_output_decodes_to_the_same_number_of_frames(client: InferenceClient) -> None:
    config = RenderConfig(sample_rate=16000, elementary=True)
    rendered = await collect(client, config, pieces(babble(1.0, 16000)))
    units = [piece for piece in rendered.video if piece.kind == "video"]
    codec = av.CodecContext.create("h264", "r")
    frames = []
    for unit in units:
        for packet in codec.parse(unit.data):
            frames += codec.decode(packet)
    frames += [f for packet in codec.parse() for f in codec.decode(packet)] + codec.decode(None)
    assert rendered.result
    assert len(units) == len(frames) == rendered.result.frames
    assert any(piece.kind == "audio" for piece in rendered.video)


async def test_live_frames_come_while_the_sound_is_still_being_spoken(client: InferenceClient) -> None:
    async def speak() -> AsyncIterator[bytes | Flush]:
        sound = babble(1.5, 16000)
        for at in range(0, len(sound), 640):
            yield sound[at : at + 640]
            await asyncio.sleep(0.02)
        spoken.set()

    spoken = asyncio.Event()
    rendered = Rendered()
    config = RenderConfig(sample_rate=16000, live=True, elementary=True)
    task = asyncio.create_task(collect(client, config, speak(), rendered))
    await spoken.wait()
    assert rendered.seconds > 1.0
    await task


async def test_queue_positions_are_told_and_end_with_acceptance(tmp_path: object, server: Running) -> None:
    from avatar_inference.admission import Limits
    from avatar_inference.server import ServerSettings, serve

    settings = ServerSettings(port=0, limits=Limits(renders=1, waiting=1, held_bytes=2**30))
    async with serve(settings) as small, InferenceClient(small.target) as client:
        go_on, started = asyncio.Event(), asyncio.Event()

        async def held() -> AsyncIterator[bytes | Flush]:
            yield babble(0.3)
            started.set()
            await go_on.wait()

        first = asyncio.create_task(collect(client, CONFIG, held()))
        await started.wait()
        second = Rendered()
        waiting = asyncio.create_task(collect(client, CONFIG, pieces(babble(0.3)), second))
        async with asyncio.timeout(10):
            while not second.queued:
                await asyncio.sleep(0.01)
        assert second.queued[0].position == 1
        assert second.accepted is None
        from avatar_core.errors import InferenceError, Reason

        with pytest.raises(InferenceError) as caught:
            await collect(client, CONFIG, pieces(babble(0.3)))
        assert caught.value.reason is Reason.OVERLOADED
        assert caught.value.retry_after
        go_on.set()
        await asyncio.gather(first, waiting)
        assert second.accepted
        assert second.result


@pytest.mark.slow
async def test_thirty_two_streams_share_one_server(server: Running, client: InferenceClient) -> None:
    """All finish; equal clips progress equally; steps mix streams; each output equals its solo run."""
    sounds = [babble(4.0, seed=seed) for seed in range(4)]
    solo = [await collect(client, CONFIG, pieces(sound)) for sound in sounds]
    running = [Rendered() for _ in range(32)]

    async def one(number: int) -> None:
        await collect(client, CONFIG, pieces(sounds[number % 4]), running[number])

    tasks = [asyncio.create_task(one(number)) for number in range(32)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    done = [rendered.seconds for rendered in running]
    await asyncio.gather(*tasks)
    assert (max(done) - min(done)) / max(done) <= 0.2
    for number, rendered in enumerate(running):
        assert rendered.fragments == solo[number % 4].fragments
    assert _steps_with_several_streams(server) > 0


def _steps_with_several_streams(server: Running) -> float:
    with urllib.request.urlopen(f"http://{server.metrics_target}/metrics") as page:
        lines = page.read().decode().splitlines()
    counts = {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}
    alone = counts['avatar_inference_step_streams_bucket{le="1.0"}']
    return counts["avatar_inference_step_streams_count"] - alone
