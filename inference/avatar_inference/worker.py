"""The one place that runs the engine: schedule -> run -> hand out, step after step."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avatar_inference.engine import Engine, EngineFrame
from avatar_inference.metrics import Metrics
from avatar_inference.scheduler import FrameTask, Scheduler
from avatar_inference.throughput import Throughput

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A frame the engine drew.

    Attributes:
        index: of the frame in its stream.
        picture: index of the bundle's picture behind it.
        crop: uint8 RGB [256, 256, 3].
        seconds: this frame's share of the step.
    """

    index: int
    picture: int
    crop: NDArray[np.uint8]
    seconds: float


class Sink(Protocol):
    """Where a stream's frames go; called on the event loop, in order."""

    def drawn(self, frame: Drawn) -> None:
        """A frame is ready."""
        ...

    def failed(self, error: Exception) -> None:
        """The engine failed on a frame of this stream; nothing more comes."""
        ...


class EngineWorker:
    """Runs one engine for many streams, in a thread of its own.

    Args:
        engine: draws.
        max_batch: frames in one step, at most.
        metrics: counts steps.
        throughput: learns how fast the engine is.
    """

    def __init__(self, engine: Engine, max_batch: int, metrics: Metrics, throughput: Throughput) -> None:
        self.engine = engine
        self.throughput = throughput
        self._scheduler: Scheduler[EngineFrame] = Scheduler(max_batch)
        self._metrics = metrics
        self._sinks: dict[str, Sink] = {}
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    def open(
        self, stream: str, sink: Sink, *, batch_size: int, fps: Fraction, live: bool, budget: float
    ) -> None:
        """Opens a stream; `sink` gets its frames."""
        self._sinks[stream] = sink
        self._scheduler.add(stream, batch_size=batch_size, fps=fps, live=live, budget=budget)

    def put(self, stream: str, frames: Iterable[tuple[int, EngineFrame]], arrival: float) -> None:
        """Queues frames of a stream; `arrival` on the clock of `time.monotonic`."""
        self._scheduler.put(stream, frames, arrival)
        self._wake.set()

    def hold(self, stream: str, held: bool) -> None:
        """While held, nothing of this stream is drawn."""
        self._scheduler.hold(stream, held)
        if not held:
            self._wake.set()

    def close(self, stream: str) -> None:
        """Forgets a stream; its waiting frames are dropped before the next step."""
        self._scheduler.remove(stream)
        self._sinks.pop(stream, None)

    async def run(self) -> None:
        """Steps for ever; ends by cancellation."""
        try:
            while True:
                self._wake.clear()
                if not await self.step():
                    await self._wake.wait()
        finally:
            self._thread.shutdown(wait=False)

    async def step(self) -> bool:
        """One step; False when there was nothing to draw."""
        batch = self._scheduler.next_batch()
        if not batch:
            return False
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            crops = await loop.run_in_executor(self._thread, self._render, batch)
        except Exception as error:
            log.exception("engine step failed", extra={"engine": self.engine.name, "frames": len(batch)})
            self._fail(batch, error)
            return True
        seconds = time.monotonic() - started
        self._measure(batch, seconds, started + seconds)
        for task, crop in zip(batch, crops, strict=True):
            if sink := self._sinks.get(task.stream):
                sink.drawn(Drawn(task.index, task.payload.picture, crop, seconds / len(batch)))
        return True

    def _fail(self, batch: tuple[FrameTask[EngineFrame], ...], error: Exception) -> None:
        """Ends the streams of a failed step; the others go on."""
        for stream in {task.stream for task in batch}:
            if sink := self._sinks.get(stream):
                self.close(stream)
                sink.failed(error)

    def _render(self, batch: tuple[FrameTask[EngineFrame], ...]) -> NDArray[np.uint8]:
        """Pads to the engine's next batch size, draws, and drops the padding."""
        frames = [task.payload for task in batch]
        size = next((size for size in self.engine.batch_sizes if size >= len(frames)), len(frames))
        return self.engine.render([*frames, *[frames[-1]] * (size - len(frames))])[: len(frames)]

    def _measure(self, batch: tuple[FrameTask[EngineFrame], ...], seconds: float, now: float) -> None:
        self.throughput.observe("engine", len(batch), seconds)
        self._metrics.step_frames.observe(len(batch))
        self._metrics.step_streams.observe(len({task.stream for task in batch}))
        self._metrics.step_seconds.observe(seconds)
        self._metrics.late_frames.inc(sum(task.live and task.due < now for task in batch))
