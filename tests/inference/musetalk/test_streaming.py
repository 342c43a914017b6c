"""Speech heard while it comes, by the real encoder with seeded weights: what a frame may depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.inference.musetalk.expected import drawing_cases as cases
from tests.inference.musetalk.expected import reading
from torch import Tensor

from avatar_core.timeline import frame_count, frames_before
from avatar_inference.musetalk.audio import Ear, empty_encoder
from avatar_inference.musetalk.hearing import Hearing
from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.listener import AlignedListener, token_windows
from avatar_inference.musetalk.windows import AUDIO_FRAME, aligned_start

FPS = Fraction(15)
RATE = 16_000
Sound = NDArray[np.float32]


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear(reading.filled(empty_encoder(TINY), cases.whisper_weights, cases.WHISPER_SEED))


@pytest.fixture(scope="module")
def hearing(ear: Ear) -> Iterator[Hearing]:
    made = Hearing(ear, torch.device("cpu"))
    yield made
    made.close()


def speech(seconds: float, begin: float = 0.0) -> Sound:
    return cases.sound(round((begin + seconds) * RATE))[round(begin * RATE) :]


def heard(hearing: Hearing, said: Sequence[Sound], piece: int, *, live: bool) -> list[list[Tensor]]:
    """Tokens by sentence; a flush ends each."""
    listener, pushed, tokens = AlignedListener(hearing, FPS, live), 0, []
    for sentence in said:
        new: list[Tensor] = []
        for at in range(0, len(sentence), piece):
            new += listener.push(sentence[at : at + piece])
        pushed += len(sentence)
        last = len(tokens) == len(said) - 1
        frames = (frame_count if last else frames_before)(pushed, RATE, FPS)
        tokens.append([*new, *listener.flush(frames, last=last)])
    return tokens


def whole(ear: Ear, sound: Sound) -> Tensor:
    """Tokens of all frames, the sound encoded at once."""
    states = ear(torch.from_numpy(sound)[None])[0, : len(sound) // AUDIO_FRAME]
    frames = frame_count(len(sound), RATE, FPS)
    return torch.stack(token_windows(states, 0, [aligned_start(frame, FPS) for frame in range(frames)]))


def test_one_utterance_offline_is_the_whole_to_the_bit(ear: Ear, hearing: Hearing) -> None:
    sound = speech(3)
    (tokens,) = heard(hearing, [sound], 4_321, live=False)
    assert torch.equal(torch.stack(tokens), whole(ear, sound))


@pytest.mark.parametrize("live", [False, True])
def test_chunks_do_not_matter_to_the_bit(live: bool, hearing: Hearing) -> None:
    said = [speech(0.9), speech(0.7, 0.9)]
    once, again = (heard(hearing, said, piece, live=live) for piece in (100_000, 777))
    assert [len(each) for each in once] == [len(each) for each in again] == [14, 10]
    for some, same in zip(once, again, strict=True):
        assert torch.equal(torch.stack(some), torch.stack(same))


def test_what_comes_after_a_flush_changes_nothing_before_it(hearing: Hearing) -> None:
    first = speech(1)
    one, other = (
        heard(hearing, [first, second], 8_000, live=False) for second in (speech(1, 5), speech(1, 9))
    )
    assert torch.equal(torch.stack(one[0]), torch.stack(other[0]))
    assert not torch.equal(torch.stack(one[1]), torch.stack(other[1]))


def test_live_frames_hear_no_more_than_the_step_they_were_taken_in(hearing: Hearing) -> None:
    """Sound that differs after 640 ms leaves those frames alone that were taken by then."""
    begin = speech(0.64)
    one, other = (np.concatenate([begin, speech(0.64, later)]) for later in (5, 9))
    known = AlignedListener(hearing, FPS, True)
    taken = len(known.push(begin))
    assert taken == 8
    (some,), (same,) = (heard(hearing, [sound], 1_600, live=True) for sound in (one, other))
    assert torch.equal(torch.stack(some[:taken]), torch.stack(same[:taken]))
    assert not torch.equal(some[taken], same[taken])


def test_live_stays_near_the_whole(ear: Ear, hearing: Hearing) -> None:
    """The past is heard alike; what is missing is the future within 30 s. A wrong window would be far off."""
    sound = speech(3)
    (tokens,) = heard(hearing, [sound], 1_600, live=True)
    expected = whole(ear, sound)
    off = [reading.relative(a.numpy(), b.numpy()) for a, b in zip(tokens, expected, strict=True)]
    next_to = [reading.relative(b.numpy(), a.numpy()) for a, b in pairwise(expected)]
    assert 0 < np.median(off) < np.median(next_to)


def test_after_30_s_the_last_30_are_heard(ear: Ear, hearing: Hearing) -> None:
    """Tokens of the end are those of a block that begins 30 s before it, on the border of an audio frame."""
    sound = speech(31.01)
    (tokens,) = heard(hearing, [sound], 32_000, live=False)
    begin = -(-(len(sound) - 480_000) // AUDIO_FRAME)
    states = ear(torch.from_numpy(sound[begin * AUDIO_FRAME :])[None])[0]
    states = states[: (len(sound) - begin * AUDIO_FRAME) // AUDIO_FRAME]
    last = range(len(tokens) - 5, len(tokens))
    expected = torch.stack(token_windows(states, begin, [aligned_start(frame, FPS) for frame in last]))
    assert torch.equal(torch.stack(tokens[-5:]), expected)
