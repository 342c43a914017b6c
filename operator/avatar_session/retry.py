"""When to try again, and when that is too late.

What a stage handed on can't be taken back: a failure before its first output is repeated in place, one after
it ends the whole attempt (`AttemptLostError`), and the pipeline starts anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Self, TypeVar

from avatar_core.errors import AvatarError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the event loop's clock.

    Attributes:
        at: the moment, in the loop's seconds.
        seconds: how long it was away at first.
    """

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """So many seconds from now."""
        return cls(asyncio.get_running_loop().time() + seconds, seconds)

    def remaining(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.at - asyncio.get_running_loop().time())


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently something is tried.

    Attributes:
        tries: in all.
        first, longest: seconds before the second try, doubling up to the longest; a random half is taken off
            so that many sessions do not come back at once.
    """

    tries: int = 4
    first: float = 0.5
    longest: float = 8.0

    def pause(self, tried: int, error: AvatarError, remaining: float) -> float | None:
        """Seconds to wait after `tried` tries, or None when another one is of no use or comes too late."""
        if not error.info.retry or tried >= self.tries:
            return None
        wait = min(self.longest, self.first * 2 ** (tried - 1)) * random.uniform(0.5, 1)  # noqa: S311
        if error.retry_after is not None:
            wait += error.retry_after
        return wait if wait < remaining else None


OnRetry = Callable[[AvatarError, float], None]
"""Called with what failed and the seconds until the next try."""


class AttemptLostError(Exception):
    """A stage failed after its output was handed on; `error` is worth another attempt of the whole."""

    def __init__(self, error: AvatarError) -> None:
        super().__init__(str(error))
        self.error = error


async def retried(
    produce: Callable[[], AsyncGenerator[T, None]], policy: RetryPolicy, deadline: Deadline, on_retry: OnRetry
) -> AsyncGenerator[T, None]:
    """Yields what `produce()` yields; begins again when it fails before its first item.

    Raises:
        AvatarError: final, or tried often enough, or no time is left for another try.
        AttemptLostError: a passing failure came after the first item.
    """
    for tried in count(1):
        handed_on = False
        try:
            async with aclosing(produce()) as items:
                async for item in items:
                    handed_on = True
                    yield item
            return
        except AvatarError as error:
            if handed_on and error.info.retry:
                raise AttemptLostError(error) from None
            pause = policy.pause(tried, error, deadline.remaining())
            if pause is None:
                raise
            on_retry(error, pause)
            await asyncio.sleep(pause)
