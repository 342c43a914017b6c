"""How fast an engine is on this machine: each stage alone, then whole renders over a real socket.

Everything is measured in one run on a stand-in avatar and noise for speech; numbers of two machines or
versions compare only when each was measured whole.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

from avatar_core.limits import LIP_RATE
from avatar_inference.bundle import Box, Bundle
from avatar_inference.client import FLUSH, Flush, InferenceClient, RenderConfig, Result
from avatar_inference.compositor import paste
from avatar_inference.encoder import Encoder, EncoderSettings
from avatar_inference.engine import Engine, EngineFrame

FPS = Fraction(25)
SOUND_SECONDS = 8
WIDTH, HEIGHT = 1280, 720
FACE = Box(480, 140, 320, 360)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        stage: what ran.
        at_once: frames in a batch, or streams.
        frames_per_second: of all together.
        p50_ms, p99_ms: of one step; of whole renders, until the first picture is handed out.
    """

    stage: str
    at_once: int
    frames_per_second: float
    p50_ms: float
    p99_ms: float


def stand_in() -> Bundle:
    """A grey picture of 720p whose face has random latents: enough to draw, nothing to look at."""
    latents = np.random.default_rng(0).standard_normal((1, 8, 32, 32)).astype(np.float16)
    return Bundle(
        name="bench",
        engine="musetalk",
        width=WIDTH,
        height=HEIGHT,
        times_us=(0,),
        boxes=(FACE,),
        masks=(np.full((FACE.height, FACE.width), 128, np.uint8),),
        pictures=(np.full((HEIGHT, WIDTH, 3), 128, np.uint8),),
        arrays={"latents": latents},
    )


def noise(seconds: float) -> NDArray[np.int16]:
    """Bursts like syllables, int16 [n] at 16 kHz."""
    time_axis = np.arange(round(seconds * LIP_RATE)) / LIP_RATE
    bursts = np.clip(np.sin(2 * np.pi * 4 * time_axis), 0, 1)
    loud = np.random.default_rng(0).normal(0, 4000, len(time_axis))
    return np.asarray(loud * bursts, np.int16)


def stages(engine: Engine, bundle: Bundle, batches: Sequence[int], seconds: float) -> Iterator[Row]:
    """Each stage by itself.

    Args:
        engine: nobody else may draw with it meanwhile.
        bundle: it can load.
        batches: sizes to draw at.
        seconds: of each measurement, at least five steps.
    """
    sound = noise(SOUND_SECONDS).astype(np.float32) / np.float32(32768)
    frames = int(SOUND_SECONDS * FPS)

    def listen() -> Sequence[object]:
        listener = engine.features(FPS, live=False)
        return [*listener.push(sound), *listener.flush(frames, last=True)]

    yield _repeated(f"listen to {SOUND_SECONDS} s", frames, seconds, listen, at_once=1)
    avatar = engine.load(bundle)
    todo = [EngineFrame(avatar, 0, feature) for feature in listen()]
    for batch in batches:
        yield _repeated("draw", batch, seconds, partial(engine.render, todo[:batch]))
    crop = engine.render(todo[:1])[0]
    box, mask, picture = bundle.boxes[0], bundle.masks[0], bundle.pictures[0]
    assert box is not None
    assert mask is not None

    def put() -> object:
        return paste(picture, engine.stretch(crop, box.width, box.height), box, mask)

    yield _repeated("paste", 1, seconds, put)
    yield _encoding(bundle, seconds)


async def whole(target: str, avatar: str, streams: int) -> Row:
    """Renders over a socket: all streams at once, eight seconds of sound each, a flush every two."""
    pcm = noise(SOUND_SECONDS)

    async def pieces() -> AsyncIterator[bytes | Flush]:
        for at in range(0, len(pcm), 2 * LIP_RATE):
            yield pcm[at : at + 2 * LIP_RATE].tobytes()
            yield FLUSH

    async def one(client: InferenceClient) -> Result:
        config = RenderConfig(sample_rate=LIP_RATE, avatar=avatar, fps=FPS, batch_size=4)
        async for event in client.render(config, pieces()):
            if isinstance(event, Result):
                return event
        raise AssertionError("a render ends with its result")

    async with InferenceClient(target) as client:
        started = time.perf_counter()
        results = await asyncio.gather(*(one(client) for _ in range(streams)))
        took = time.perf_counter() - started
    first = sorted(1000 * result.timings.first_frame for result in results)
    frames = sum(result.frames for result in results)
    return Row("whole renders", streams, frames / took, statistics.median(first), first[-1])


def memory() -> dict[str, float]:
    """Peaks of this process so far, GiB: of the machine, and of the GPU where torch used one."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpu_gib"] = torch.cuda.max_memory_allocated() / 2**30
        found["gpu_reserved_gib"] = torch.cuda.max_memory_reserved() / 2**30
    return found


def _encoding(bundle: Bundle, seconds: float) -> Row:
    rate = int(LIP_RATE / FPS)
    settings = EncoderSettings(
        width=bundle.width,
        height=bundle.height,
        out_height=None,
        fps=FPS,
        sample_rate=LIP_RATE,
        channels=1,
        lead_in_samples=0,
    )
    encoder, sound = Encoder(settings), noise(1)[:rate, None]
    return _repeated("encode", 1, seconds, lambda: encoder.write(bundle.pictures[0], sound))


def _repeated(
    stage: str, frames: int, seconds: float, step: Callable[[], object], *, at_once: int | None = None
) -> Row:
    step()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        before = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - before))
    rate = 1000 * frames * len(times) / sum(times)
    tail = sorted(times)[int(len(times) * 0.99)]
    return Row(stage, frames if at_once is None else at_once, rate, statistics.median(times), tail)
