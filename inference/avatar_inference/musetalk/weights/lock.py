"""One process at a time in a folder of weights."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from avatar_inference.musetalk.weights.files import typed

_AGAIN_AFTER = 0.5


@contextmanager
def alone(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the folder's lock, which goes with its process, however that ends.

    Args:
        folder: of the weights; made if missing.
        waiting: called once when another process holds it.

    Raises:
        WeightsError: WeightsInvalid, when the folder can't be made or written to; DiskFull.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise typed(error, folder / ".lock") from None
    with lock:
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    waiting()
                told = True
                time.sleep(_AGAIN_AFTER)
        yield
