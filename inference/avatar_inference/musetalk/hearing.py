"""The audio encoder for all streams: whoever needs a block encoded waits, and all who wait share a batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar_core.errors import InferenceError, Reason
from avatar_inference.musetalk.audio import Ear
from avatar_inference.musetalk.layout import BLOCK_SAMPLES

BATCH_MAX = 8
"""Blocks at once. On a large GPU eight take little longer than one."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A block's hidden states.

    Attributes:
        states: [n, 5, 384] on the host in the encoder's dtype, one row for each 20 ms of the sound.
        seconds: this block's share of the encoder's time.
    """

    states: Tensor
    seconds: float


@dataclass(frozen=True, slots=True)
class _Wanted:
    sound: NDArray[np.float32]
    rows: int
    result: Future[Encoded] = field(default_factory=Future)


class Hearing:
    """One encoder in a thread of its own.

    Args:
        ear: on `device`; nobody else may use it.
        device: where it runs.
        batch_max: blocks at once.
    """

    def __init__(self, ear: Ear, device: torch.device, batch_max: int = BATCH_MAX) -> None:
        self._ear = ear
        self._device = device
        self._batch_max = batch_max
        self._wanted: SimpleQueue[_Wanted | None] = SimpleQueue()
        self._asking, self._closed = Lock(), False
        self._thread = Thread(target=self._work, name="hearing", daemon=True)
        self._thread.start()

    def encode(self, sound: NDArray[np.float32], rows: int) -> Encoded:
        """Hidden states of a block; the calling thread waits. Thread-safe.

        Args:
            sound: float32 [n], 1 to 480000 samples at 16 kHz, -1..1; silence follows up to 30 s.
            rows: how many to keep, those of the sound.

        Raises:
            InferenceError: InferenceUnavailable after `close`.
        """
        wanted = _Wanted(sound, rows)
        with self._asking:
            if self._closed:  # nobody would ever answer
                raise InferenceError(Reason.INFERENCE_UNAVAILABLE, "the server is shutting down")
            self._wanted.put(wanted)
        return wanted.result.result()

    def close(self) -> None:
        """Ends the thread once everything asked for is done, and waits for that.

        A thread that lets go of torch's things while the interpreter is taken down would abort the process.
        """
        with self._asking:
            self._closed = True
            self._wanted.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._wanted.get()) is not None:
            batch = [first, *self._waiting(self._batch_max - 1)]
            try:
                for wanted, encoded in zip(batch, self._encode(batch), strict=True):
                    wanted.result.set_result(encoded)
            except Exception as error:  # each stream that waits must hear of it; the thread goes on
                for wanted in batch:
                    wanted.result.set_exception(error)

    def _waiting(self, most: int) -> list[_Wanted]:
        """What else waits by now."""
        found: list[_Wanted] = []
        while len(found) < most:
            try:
                wanted = self._wanted.get_nowait()
            except Empty:
                break
            if wanted is None:
                self._wanted.put(None)
                break
            found.append(wanted)
        return found

    def _encode(self, batch: Sequence[_Wanted]) -> list[Encoded]:
        started = time.monotonic()
        blocks = np.zeros((len(batch), BLOCK_SAMPLES), np.float32)
        for row, wanted in zip(blocks, batch, strict=True):
            row[: len(wanted.sound)] = wanted.sound
        states = self._ear(torch.from_numpy(blocks).to(self._device))
        kept = [each[: wanted.rows].cpu() for each, wanted in zip(states, batch, strict=True)]
        share = (time.monotonic() - started) / len(batch)
        return [Encoded(states, share) for states in kept]
