"""One encoder for all streams: it batches those who wait at once, and failures reach each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from time import monotonic, sleep

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.inference.musetalk.expected import drawing_cases as cases
from tests.inference.musetalk.expected import reading
from torch import Tensor

from avatar_core.errors import InferenceError, Reason
from avatar_inference.musetalk.audio import Ear, empty_encoder
from avatar_inference.musetalk.hearing import BATCH_MAX, Encoded, Hearing
from avatar_inference.musetalk.layout import TINY

CPU = torch.device("cpu")


class Watched:
    """An ear that can be held up, and tells how many blocks it got at a time."""

    def __init__(self, ear: Ear | None = None) -> None:
        self._ear = ear
        self.batches: list[int] = []
        self.go_on = Event()
        self.fail = False

    def __call__(self, blocks: Tensor) -> Tensor:
        self.batches.append(len(blocks))
        assert self.go_on.wait(30)
        if self.fail:
            raise RuntimeError("out of memory")
        if self._ear is not None:
            return self._ear(blocks)
        # Stand-in where what is heard does not matter: the first sample, everywhere.
        return blocks[:, :1, None, None].expand(-1, 1500, 5, 4)


def sound(seed: int, samples: int = 16_000) -> NDArray[np.float32]:
    return cases.sound(64_000)[seed * 997 :][:samples]


@contextmanager
def hearing(ear: Watched) -> Iterator[Hearing]:
    made = Hearing(ear, CPU)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        ear.go_on.set()
        made.close()


def ask(
    pool: ThreadPoolExecutor, made: Hearing, ear: Watched, sounds: Sequence[NDArray[np.float32]]
) -> list[Future[Encoded]]:
    """All of them at once, the first a little earlier: it is being encoded when the others come."""
    first = pool.submit(made.encode, sounds[0], len(sounds[0]) // 320)
    wait_for(lambda: len(ear.batches) == 1)
    others = [pool.submit(made.encode, each, len(each) // 320) for each in sounds[1:]]
    wait_for(lambda: made._wanted.qsize() == len(others))
    return [first, *others]


def wait_for(condition: object) -> None:
    end = monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert monotonic() < end
        sleep(0.005)


def test_those_who_wait_share_a_batch_and_hear_what_they_would_alone() -> None:
    """The real encoder, with blocks of different lengths."""
    ear = Ear(reading.filled(empty_encoder(TINY), cases.whisper_weights, cases.WHISPER_SEED))
    watched = Watched(ear)
    sounds = [sound(0), sound(1, 4_000), sound(2, 48_000), sound(3, 320)]
    with hearing(watched) as made, ThreadPoolExecutor(4) as pool:
        asked = ask(pool, made, watched, sounds)
        watched.go_on.set()
        found = [each.result(60) for each in asked]
    assert watched.batches == [1, 3]
    for each, encoded in zip(sounds, found, strict=True):
        alone = ear(torch.from_numpy(each.copy())[None])[0, : len(each) // 320]
        assert encoded.states.shape == (len(each) // 320, 5, 384)
        off = reading.relative(encoded.states.numpy(), alone.numpy())
        assert off <= 1e-5, f"rel-L2 {off:.2g}"
        assert encoded.seconds > 0
    # Each pays its share: three of the same batch pay alike.
    assert found[1].seconds == found[2].seconds == found[3].seconds


def test_batches_have_an_end_and_answers_are_not_mixed_up() -> None:
    watched = Watched()
    sounds = [np.full(320 * (1 + number), number, np.float32) for number in range(BATCH_MAX + 4)]
    with hearing(watched) as made, ThreadPoolExecutor(len(sounds)) as pool:
        asked = ask(pool, made, watched, sounds)
        watched.go_on.set()
        found = [each.result(10) for each in asked]
    assert watched.batches == [1, BATCH_MAX, 3]
    for number, encoded in enumerate(found):
        assert encoded.states.shape == (1 + number, 5, 4)
        assert (encoded.states == number).all()


def test_a_failure_reaches_every_one_who_waits_and_the_thread_goes_on() -> None:
    watched = Watched()
    with hearing(watched) as made, ThreadPoolExecutor(4) as pool:
        watched.fail = True
        asked = ask(pool, made, watched, [sound(number) for number in range(4)])
        watched.go_on.set()
        for each in asked:
            with pytest.raises(RuntimeError, match="out of memory"):
                each.result(10)
        watched.fail = False
        assert made.encode(sound(0), 50).states.shape == (50, 5, 4)


def test_what_was_asked_before_the_end_is_answered_and_later_calls_are_refused() -> None:
    watched = Watched()
    with hearing(watched) as made, ThreadPoolExecutor(4) as pool:
        asked = ask(pool, made, watched, [sound(number) for number in range(3)])
        closing = pool.submit(made.close)
        wait_for(lambda: made._closed)
        watched.go_on.set()
        closing.result(10)
        assert not made._thread.is_alive()
        assert [each.result(10).states.shape[0] for each in asked] == [50] * 3
        with pytest.raises(InferenceError) as caught:
            made.encode(sound(0), 50)
    assert caught.value.reason is Reason.INFERENCE_UNAVAILABLE
