"""Sound to tokens against MuseTalk's own AudioProcessor (see expected/make_audio.py)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.inference.musetalk.expected import drawing_cases as cases
from tests.inference.musetalk.expected import reading
from torch import Tensor

from avatar_inference.musetalk.audio import Ear, LogMel, empty_encoder, positions
from avatar_inference.musetalk.hearing import Encoded
from avatar_inference.musetalk.layout import BLOCK_SAMPLES, TINY
from avatar_inference.musetalk.listener import UpstreamListener
from avatar_inference.musetalk.windows import upstream_frames, upstream_length

Expected = dict[str, NDArray[Any]]
BLOCKS = (0, 1)
LAYERS = TINY.states


class Numbers:
    """An encoder whose states are numbers: 5 row + layer + 1, rows counted over the blocks."""

    def __init__(self) -> None:
        self.blocks = 0

    def encode(self, sound: NDArray[np.float32], rows: int) -> Encoded:
        first = self.blocks * 1500
        self.blocks += 1
        numbers = torch.arange(first * LAYERS, (first + rows) * LAYERS, dtype=torch.float32) + 1
        return Encoded(numbers.reshape(rows, LAYERS, 1), 0.0)


class Alone:
    """An encoder that takes one block at a time, as the published code does, and keeps what it gave."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self.states: list[Tensor] = []

    def encode(self, sound: NDArray[np.float32], rows: int) -> Encoded:
        self.states.append(self._ear(torch.from_numpy(sound)[None])[0, :rows])
        return Encoded(self.states[-1], 0.0)


@pytest.fixture(scope="module")
def expected() -> Expected:
    return reading.stored("audio")


@pytest.fixture(scope="module")
def sound(expected: Expected) -> NDArray[np.float32]:
    return cases.sound(int(expected["length"]))


@pytest.fixture(scope="module")
def blocks(sound: NDArray[np.float32]) -> Tensor:
    """float32 [2, 480000]."""
    padded = np.zeros(2 * BLOCK_SAMPLES, np.float32)
    padded[: len(sound)] = sound
    return torch.from_numpy(padded.reshape(2, BLOCK_SAMPLES))


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear(reading.filled(empty_encoder(TINY), cases.whisper_weights, cases.WHISPER_SEED))


@pytest.fixture(scope="module")
def states(ear: Ear, blocks: Tensor) -> Tensor:
    return torch.cat([ear(block[None]) for block in blocks])


@pytest.mark.parametrize("block", BLOCKS)
def test_log_mels_equal_upstreams(block: int, blocks: Tensor, expected: Expected) -> None:
    found = LogMel()(blocks)[block]
    off = np.abs(found[::7, ::61].numpy() - expected[f"mel_{block}"]).max()
    assert off <= 1e-5, f"max abs {off:.2g}"
    assert found.double().sum().item() == pytest.approx(float(expected[f"mel_{block}_sum"]), rel=1e-6)


def test_blocks_do_not_hear_each_other(blocks: Tensor) -> None:
    """The loudest value is each block's own."""
    quiet = torch.stack([blocks[0], blocks[1] / 1000])
    together = LogMel()(quiet)
    assert torch.equal(together[1], LogMel()(quiet[1:])[0])


@pytest.mark.parametrize("block", BLOCKS)
def test_hidden_states_equal_upstreams(block: int, states: Tensor, expected: Expected) -> None:
    found, wanted = states[block, ::101, :, ::11].numpy(), expected[f"states_{block}"]
    for layer in range(LAYERS):
        off = reading.relative(found[:, layer], wanted[:, layer])
        assert off <= 1e-5, f"layer {layer}: rel-L2 {off:.2g}"
    assert np.abs(found - wanted).max() <= 1e-3


def test_only_the_last_state_passed_the_final_norm(ear: Ear, states: Tensor) -> None:
    norm = ear.encoder.layer_norm
    with torch.no_grad():
        plain = (states[0, :, -1] - norm.bias) / norm.weight
    assert plain.mean(1).abs().max() < 1e-3
    assert (plain.var(1, unbiased=False) - 1).abs().max() < 1e-2
    assert all(states[0, :, layer].var(1).std() > 0.01 for layer in range(LAYERS - 1))


# What plain half precision costs here is printed when it is exceeded; bfloat16 has 3 bits less.
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 2e-3), (torch.bfloat16, 1.6e-2)])
def test_half_precision(dtype: torch.dtype, bound: float, blocks: Tensor, states: Tensor) -> None:
    ear = Ear(reading.filled(empty_encoder(TINY), cases.whisper_weights, cases.WHISPER_SEED))
    ear.encoder.to(dtype)
    found = ear(blocks[:1])[0]
    assert found.dtype == dtype
    off = reading.relative(found.float().numpy(), states[0].numpy())
    assert off <= bound, f"rel-L2 {off:.2g}"


@pytest.mark.parametrize("fps", [*cases.RATES, 29.97])
@pytest.mark.parametrize("samples", cases.LENGTHS)
def test_windows_equal_upstreams(fps: float, samples: int, expected: Expected) -> None:
    """However the sound comes, each frame that the published code makes has its window, to the bit."""
    wanted = np.cumsum(expected[f"windows_{fps}_{samples}"], axis=0)
    exact = Fraction(30_000, 1_001) if fps == 29.97 else Fraction(fps)
    listener = UpstreamListener(Numbers(), exact)  # type: ignore[arg-type]
    tokens: list[Tensor] = []
    for at in range(0, samples, 47_000):
        tokens += listener.push(np.zeros(min(47_000, samples - at), np.float32))
    tokens += listener.flush(upstream_frames(samples, exact), last=True)
    if not len(wanted):  # it ends the process, or fails, where there is too little sound
        assert samples < 1_600
        return
    assert len(tokens) == len(wanted)
    found = torch.stack(tokens)[..., 0].numpy().reshape(-1, 10, LAYERS)
    layers = np.where(wanted[..., None] > 0, (wanted[..., None] - 1) * LAYERS + np.arange(1, LAYERS + 1), 0)
    assert np.array_equal(found, layers)


def test_the_vectors_of_the_arithmetic_hold(expected: Expected) -> None:
    facts = {(25, 160_000): 250, (25, 18_560): 28, (25, 480_001): 750, (30, 160_000): 300}
    for (fps, samples), frames in facts.items():
        assert upstream_frames(samples, Fraction(fps)) == frames
        assert len(expected[f"windows_{fps}_{samples}"]) == frames
    assert [upstream_length(samples) for samples in (160_000, 18_560, 480_001)] == [500, 57, 1500]


@pytest.mark.parametrize("fps", cases.REAL_RATES)
def test_tokens_of_a_stream_are_upstreams(
    fps: int, ear: Ear, sound: NDArray[np.float32], expected: Expected
) -> None:
    alone = Alone(ear)
    listener = UpstreamListener(alone, Fraction(fps))  # type: ignore[arg-type]
    frames = upstream_frames(len(sound), Fraction(fps))
    early = listener.push(sound[:300_000]), listener.push(sound[300_000:])
    tokens = torch.stack([*early[0], *early[1], *listener.flush(frames, last=True)])
    assert len(tokens) == int(expected[f"tokens_{fps}_frames"])
    off = reading.relative(tokens[::45, ::7, ::12].numpy(), expected[f"tokens_{fps}"])
    assert off <= 1e-5, f"rel-L2 {off:.2g}"
    # To the bit, given the same states: those the published code would cut its windows from.
    states = torch.cat([torch.zeros(1, *alone.states[0].shape[1:]), *alone.states])
    rows = published_rows(fps, frames, upstream_length(len(sound)))
    assert torch.equal(tokens, states[torch.from_numpy(rows)].flatten(1, 2))


def published_rows(fps: int, frames: int, length: int) -> NDArray[np.int64]:
    """Rows of each window as published, counted from 1, 0 for zeros: [frames, 10]."""
    step = 50 / fps
    padded = [0] * (2 * math.ceil(step)) + list(range(1, length + 1)) + [0] * (6 * math.ceil(step))
    return np.array([padded[math.floor(i * step) :][:10] for i in range(frames)])


def test_positions_equal_upstreams(expected: Expected) -> None:
    found = positions(50, 384).numpy()
    assert np.abs(found[::7] - expected["positions"]).max() <= 1e-6
    assert found[1, :2] == pytest.approx([0.841471, 0.540302], abs=1e-6)
    assert found[49, 2:4] == pytest.approx([0.406808, -0.913514], abs=1e-5)
    assert found[49, 382:] == pytest.approx([0.005141, 0.999987], abs=1e-5)


def test_positions_in_half_precision_are_within_the_last_bit(expected: Expected) -> None:
    placed = torch.from_numpy(cases.tokens(5)).half() + positions(50, 384).half()
    found, wanted = placed[:2, ::7, ::3].numpy(), expected["placed_half"]
    assert (np.abs(found.astype(np.float32) - wanted) <= np.spacing(np.abs(wanted)).astype(np.float32)).all()
