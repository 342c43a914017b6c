"""One heap for every deadline of every session."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
_SLACK = 64


class Deadlines(Generic[Key]):
    """Which key is due when; each key has at most one deadline.

    A moved or dropped deadline stays in the heap until its turn comes or stale entries are the majority, so
    every operation is O(log n) and memory follows the number of keys.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._at: dict[Key, tuple[float, int]] = {}
        self._entries = 0

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: Key, at: float | None) -> None:
        """Moves the deadline of a key to `at` (Unix seconds); None takes it away."""
        if at is None:
            self._at.pop(key, None)
        elif key not in self._at or self._at[key][0] != at:
            self._entries += 1  # unique, so keys are never compared
            self._at[key] = (at, self._entries)
            heappush(self._heap, (at, self._entries, key))
        if len(self._heap) > 2 * len(self._at) + _SLACK:
            self._heap = [(when, entry, key) for key, (when, entry) in self._at.items()]
            heapify(self._heap)

    def next(self) -> float | None:
        """The earliest deadline."""
        while self._heap and self._stale(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[Key]:
        """Takes out the keys whose deadline is at or before `now`, the earliest first."""
        keys = []
        while (first := self.next()) is not None and first <= now:
            _, _, key = heappop(self._heap)
            del self._at[key]
            keys.append(key)
        return keys

    def _stale(self, entry: tuple[float, int, Key]) -> bool:
        at, number, key = entry
        return self._at.get(key) != (at, number)
