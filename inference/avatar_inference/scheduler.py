"""Which frames are drawn next: the continuous batching of LLM servers, applied to frames of video.

Pure and steppable: it knows neither clocks nor engines. Each step takes the most urgent frames of all
streams: LIVE ones by due time, then OFFLINE ones so that every stream with work gets as many as any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Generic, TypeVar

Payload = TypeVar("Payload")


@dataclass(frozen=True, slots=True)
class FrameTask(Generic[Payload]):
    """One frame to be drawn.

    Attributes:
        stream: the stream it belongs to.
        index: its number in the stream, from 0.
        live: whether it has a deadline.
        due: that deadline, in seconds on the caller's clock.
        payload: whatever the engine needs.
    """

    stream: str
    index: int
    live: bool
    due: float
    payload: Payload


@dataclass(slots=True)
class _Stream(Generic[Payload]):
    """A stream's waiting frames and what fairness must remember of it."""

    name: str
    batch_size: int
    live: bool
    interval: float
    budget: float
    waiting: deque[FrameTask[Payload]] = field(default_factory=deque)
    held: bool = False
    served: int = 0  # frames handed out, on the scale all OFFLINE streams share
    base: float = float("-inf")  # due time of the last frame, without the budget
    turn: int = 0  # when it was last served, to break ties in round robin

    @property
    def ready(self) -> bool:
        return bool(self.waiting) and not self.held


class Scheduler(Generic[Payload]):
    """Owns the frames of all accepted streams.

    Args:
        max_batch: frames in one step, at most; what bounds an accelerator's memory.
    """

    def __init__(self, max_batch: int) -> None:
        self.max_batch = max_batch
        self._streams: dict[str, _Stream[Payload]] = {}
        self._turns = 0
        self._virtual_time = 0

    def add(
        self, stream: str, *, batch_size: int, fps: Fraction, live: bool = False, budget: float = 0.25
    ) -> None:
        """Opens a stream. `batch_size` bounds its share of a step while others wait; `budget`: seconds."""
        self._streams[stream] = _Stream(stream, batch_size, live, float(1 / fps), budget)

    def put(self, stream: str, payloads: Iterable[tuple[int, Payload]], arrival: float) -> None:
        """Queues frames (index, payload) in order; `arrival` is when the last sound they need came.

        A frame is due at max(arrival, due of the one before + 1/fps) + budget.
        """
        entry = self._streams[stream]
        if not entry.waiting and not entry.live:
            # Start-time fair queuing: having been idle earns no credit over those that worked meanwhile.
            entry.served = max(entry.served, self._virtual_time)
        for index, payload in payloads:
            entry.base = max(arrival, entry.base + entry.interval)
            entry.waiting.append(FrameTask(stream, index, entry.live, entry.base + entry.budget, payload))

    def hold(self, stream: str, held: bool) -> None:
        """While held, a stream keeps its frames: its output is not taken away fast enough."""
        if entry := self._streams.get(stream):
            entry.held = held

    def remove(self, stream: str) -> int:
        """Closes a stream, finished or cancelled; returns how many frames were dropped."""
        entry = self._streams.pop(stream, None)
        return len(entry.waiting) if entry else 0

    def waiting(self, stream: str | None = None) -> int:
        """Frames not handed out yet, of one stream or of all."""
        entries = self._streams.values() if stream is None else [self._streams[stream]]
        return sum(len(entry.waiting) for entry in entries)

    @property
    def has_work(self) -> bool:
        """Whether `next_batch` would return frames."""
        return any(entry.ready for entry in self._streams.values())

    def next_batch(self) -> tuple[FrameTask[Payload], ...]:
        """Takes the frames of the next step, most urgent first; a stream's frames stay in order."""
        batch: list[FrameTask[Payload]] = []
        taken: dict[str, int] = {}
        batch.extend(self._take(self._live, taken, capped=True, room=self.max_batch))
        batch.extend(self._take(self._offline, taken, capped=True, room=self.max_batch - len(batch)))
        # Idle places go to anyone.
        for order in (self._live, self._offline):
            batch.extend(self._take(order, taken, capped=False, room=self.max_batch - len(batch)))
        return tuple(batch)

    def _take(
        self,
        order: Callable[[], Iterable[_Stream[Payload]]],
        taken: dict[str, int],
        *,
        capped: bool,
        room: int,
    ) -> Iterator[FrameTask[Payload]]:
        """Up to `room` frames, one after the other from the stream that comes first in `order`."""
        for _ in range(room):
            entry = next((s for s in order() if not capped or taken.get(s.name, 0) < s.batch_size), None)
            if entry is None:
                return
            taken[entry.name] = taken.get(entry.name, 0) + 1
            if not entry.live:
                self._virtual_time = max(self._virtual_time, entry.served)
            entry.served += 1
            self._turns += 1
            entry.turn = self._turns
            yield entry.waiting.popleft()

    def _live(self) -> list[_Stream[Payload]]:
        """LIVE streams with work, earliest due first."""
        return sorted(
            (s for s in self._streams.values() if s.live and s.ready), key=lambda s: s.waiting[0].due
        )

    def _offline(self) -> list[_Stream[Payload]]:
        """OFFLINE streams with work, the one with the largest deficit first, else round robin."""
        ready = (s for s in self._streams.values() if not s.live and s.ready)
        return sorted(ready, key=lambda s: (s.served, s.turn))
