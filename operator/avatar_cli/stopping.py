"""Ctrl-C, SIGTERM and a closed terminal end what runs in the same orderly way."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from avatar_core.errors import AvatarError, Reason

T = TypeVar("T")


def run_until_stopped(work: Coroutine[Any, Any, T], stopped: str) -> T:
    """Runs `work` in an event loop of its own.

    Raises:
        AvatarError: CANCELLED with the message `stopped`: a person or a supervisor ended it.
    """
    try:
        return asyncio.run(_run(work))
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise AvatarError(Reason.CANCELLED, stopped) from None


async def _run(work: Coroutine[Any, Any, T]) -> T:
    cancel_on_signals()
    return await work


def cancel_on_signals() -> None:
    """A supervisor's SIGTERM and a closed terminal leave as little behind as a person's Ctrl-C.

    The task is cancelled directly, not by way of SIGINT: a script's background job has that one ignored.
    """
    task = asyncio.current_task()
    assert task
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish is kept
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
