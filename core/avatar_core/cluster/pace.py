"""Token buckets: how fast something may be done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Bucket:
    """So many a second, and so many at once after a pause.

    Args:
        rate: tokens a second.
        burst: tokens a full bucket holds.
        clock: monotonic seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = burst, clock()

    def take(self) -> bool:
        """Takes one token; False when there is none."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def wait(self) -> None:
        """Takes one token, in the order in which it was asked for."""
        self._fill()
        self._tokens -= 1  # below 0: tokens that are promised
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
