"""Waits for what a real cluster does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, seconds: float = 20) -> T:
    """The first true answer of `look`, asked every 50 ms.

    Raises:
        AssertionError: none came in time; with the last answer.
    """
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds} s; last: {found!r}"
        time.sleep(0.05)
    return found
