"""One accepted render: sound -> features -> frames -> encoded pieces, each hand-over bounded.

Three things run beside each other: `listen` takes sound in, the engine's worker draws, `encode` pastes and
encodes in a thread. `pieces` hands out what is ready. A slow one holds the earlier ones back.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar_core import limits
from avatar_inference.bundle import Bundle
from avatar_inference.compositor import paste
from avatar_inference.encoder import Chunk, Encoder, EncoderSettings, output_size
from avatar_inference.engine import EngineFrame
from avatar_inference.intake import Heard, Intake, Sound
from avatar_inference.plan import RenderPlan
from avatar_inference.worker import Drawn, EngineWorker

FRAMES_IN_FLIGHT = 16
"""Frames drawn and not encoded yet, before the worker is told to hold."""
CHUNKS_UNREAD = 32
"""Pieces of video the client has not taken, before encoding waits."""
FRAMES_AT_ONCE = 2
"""Frames encoded in one visit to a thread. Few, lest streams with more frames ready outrun the others."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A frame to be encoded: the picture behind it and the crop to paste, None where there is no face."""

    picture: int
    crop: NDArray[np.uint8] | None


@dataclass(slots=True)
class Spent:
    """Seconds spent on this render so far."""

    features: float = 0.0
    engine: float = 0.0
    encode: float = 0.0


class Render:
    """An accepted render. The caller runs `listen`, `encode` and `pieces` beside each other.

    Args:
        name: the render's id.
        plan: what to draw, fps the effective one.
        bundle: the avatar.
        avatar: what the engine loaded of it.
        worker: draws.
        listening: threads for listening.
        pool: threads for encoding.
    """

    def __init__(
        self,
        name: str,
        plan: RenderPlan,
        bundle: Bundle,
        avatar: Any,
        worker: EngineWorker,
        listening: Executor,
        pool: Executor,
    ) -> None:
        self.name = name
        self.plan = plan
        self.spent = Spent()
        self.frames_done = 0
        self.first_sound: float | None = None
        self.bytes = 0
        self.sequence = -1
        self._bundle = bundle
        self._avatar = avatar
        self._worker = worker
        self._listening = listening
        self._pool = pool
        self._listener = worker.engine.features(plan.fps, live=plan.live)
        self._intake = Intake(plan, self._listener)
        self._encoder = Encoder(self._encoder_settings())
        self._ready: dict[int, Ready] = {}  # by frame, drawn and not encoded yet
        self._heard = 0  # frames whose features are known
        self._flushes: deque[int] = deque()  # frames after which all must be handed out
        self._chunks: asyncio.Queue[Chunk | None] = asyncio.Queue(CHUNKS_UNREAD)
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: Exception | None = None
        self._digest = hashlib.sha256()

    @property
    def frames_total(self) -> int | None:
        """Frames of the whole video; None until the end of the sound is known."""
        return self._intake.frames_total

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the video in pixels."""
        return output_size(self._bundle.width, self._bundle.height, self.plan.height)

    @property
    def gpu_seconds(self) -> float:
        """Seconds of an accelerator used so far: this stream's share of drawing and of listening."""
        if not self._worker.engine.receipt.accelerated:
            return 0.0
        return self.spent.engine + self._listener.engine_seconds

    @property
    def sha256(self) -> str:
        """Over everything handed out so far."""
        return self._digest.hexdigest()

    def open(self) -> None:
        """Tells the worker about this stream."""
        plan = self.plan
        self._worker.open(
            self.name,
            self,
            batch_size=plan.batch_size,
            fps=plan.fps,
            live=plan.live,
            budget=plan.latency_budget,
        )

    def close(self) -> None:
        """Drops what is queued; safe to call at any time and twice."""
        self._worker.close(self.name)

    async def push(self, pcm: bytes) -> None:
        """Takes sound; waits while 32 s of it are held already."""
        while self._intake.seconds_ahead > limits.READ_AHEAD_SECONDS:
            self._room.clear()
            await self._room.wait()
        self.first_sound = self.first_sound or time.monotonic()
        for piece in self._intake.accept(pcm):
            await self._listen(partial(self._intake.push, piece))

    async def flush(self) -> None:
        """An utterance ends here."""
        await self._listen(self._intake.flush)
        self._flushes.append(self._heard)
        self._changed.set()

    async def end(self) -> None:
        """The sound ends here."""
        await self._listen(self._intake.end)

    def drawn(self, frame: Drawn) -> None:
        """The worker drew a frame (see worker.Sink)."""
        self.spent.engine += frame.seconds
        self._ready[frame.index] = Ready(frame.picture, frame.crop)
        self._hold()
        self._changed.set()

    def failed(self, error: Exception) -> None:
        """The worker failed (see worker.Sink)."""
        self._failure = error
        self._changed.set()

    async def encode(self) -> None:
        """Encodes frames as they are drawn until the last one; then closes the video."""
        while self.frames_done != self.frames_total:
            await self._changed.wait()
            self._changed.clear()
            if self._failure:
                raise self._failure
            while self.frames_done in self._ready or self._flush_due():
                await self._encode_some()
        await self._hand_out(await self._in_pool(self._encoder.close))
        await self._chunks.put(None)

    async def pieces(self) -> AsyncIterator[Chunk]:
        """Every piece of the video, in order, as it is ready."""
        while (chunk := await self._chunks.get()) is not None:
            self._digest.update(chunk.data)
            self.bytes += len(chunk.data)
            self.sequence += 1
            yield chunk

    async def _listen(self, hear: Callable[[], Heard]) -> None:
        started = time.monotonic()
        heard = await asyncio.get_running_loop().run_in_executor(self._listening, hear)
        arrival = time.monotonic()
        self.spent.features += arrival - started
        self._heard = heard.first + len(heard.features)
        self._dispatch(heard, started)
        self._changed.set()

    def _dispatch(self, heard: Heard, arrival: float) -> None:
        """Sends frames to the worker; those without a face pass it by, untouched and in step."""
        to_draw = []
        for index, feature in enumerate(heard.features, heard.first):
            picture = self._worker.engine.picture_at(self._bundle, index, self.plan.fps)
            if self._bundle.boxes[picture] is None:
                self._ready[index] = Ready(picture, None)
            else:
                to_draw.append((index, EngineFrame(self._avatar, picture, feature)))
        if to_draw:
            self._worker.put(self.name, to_draw, arrival)

    def _hold(self) -> None:
        """The worker pauses while enough drawn frames wait here; frames without a face hold nothing."""
        waiting = sum(ready.crop is not None for ready in self._ready.values())
        self._worker.hold(self.name, waiting >= FRAMES_IN_FLIGHT)

    def _flush_due(self) -> bool:
        return bool(self._flushes) and self._flushes[0] <= self.frames_done

    async def _encode_some(self) -> None:
        """Encodes the next few frames in a thread, up to the next flush."""
        work: list[tuple[Ready, Sound]] = []
        until = self._flushes[0] if self._flushes else self.frames_done + FRAMES_AT_ONCE
        for index in range(self.frames_done, min(until, self.frames_done + FRAMES_AT_ONCE)):
            if index not in self._ready:
                break
            work.append((self._ready.pop(index), self._intake.sound_for(index)))
        self._hold()
        chunks = await self._in_pool(lambda: self._write(work), len(work))
        self.frames_done += len(work)
        if self._flush_due():
            self._flushes.popleft()
            chunks += await self._in_pool(self._encoder.flush)
        self._room.set()
        await self._hand_out(chunks)

    def _write(self, work: list[tuple[Ready, Sound]]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for ready, sound in work:
            picture = self._bundle.pictures[ready.picture]
            box, mask = self._bundle.boxes[ready.picture], self._bundle.masks[ready.picture]
            if ready.crop is not None and box is not None and mask is not None:
                face = self._worker.engine.stretch(ready.crop, box.width, box.height)
                picture = paste(picture, face, box, mask)
            chunks += self._encoder.write(picture, sound)
        return chunks

    async def _in_pool(self, work: Callable[[], list[Chunk]], frames: int = 0) -> list[Chunk]:
        """Runs work in a thread; the time counted is the work's own, not the wait for a thread."""

        def timed() -> tuple[list[Chunk], float]:
            started = time.monotonic()
            return work(), time.monotonic() - started

        chunks, seconds = await asyncio.get_running_loop().run_in_executor(self._pool, timed)
        self.spent.encode += seconds
        if frames:
            self._worker.throughput.observe("encode", frames, seconds)
        return chunks

    async def _hand_out(self, chunks: list[Chunk]) -> None:
        """Waits while the client leaves video unread; the worker holds meanwhile."""
        for chunk in chunks:
            await self._chunks.put(chunk)

    def _encoder_settings(self) -> EncoderSettings:
        plan = self.plan
        return EncoderSettings(
            width=self._bundle.width,
            height=self._bundle.height,
            out_height=plan.height,
            fps=plan.fps,
            sample_rate=plan.sample_rate,
            channels=plan.channels,
            lead_in_samples=plan.lead_in_samples,
            fragmented=not plan.elementary,
            metadata={
                "comment": f"AI-generated video; engine={self._worker.engine.name}; render={self.name}",
            },
        )
