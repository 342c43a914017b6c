from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.portraits import astronaut, save, write_clip

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.source.opening import at_rate, open_source
from avatar_inference.source.source import SourcePictures, TimedPicture

BLANK = np.zeros((2, 2, 3), np.uint8)


def frames(times: list[int]) -> Iterator[TimedPicture]:
    return (TimedPicture(time, BLANK, number) for number, time in enumerate(times))


@given(
    steps=st.lists(st.integers(1_000, 300_000), max_size=40),
    fps=st.fractions(min_value=5, max_value=60, max_denominator=1001),
)
def test_each_tick_shows_what_the_source_showed_then(steps: list[int], fps: Fraction) -> None:
    times = [0, *np.cumsum(steps, dtype=int).tolist()]
    kept = list(at_rate(frames(times), fps))
    assert [k.time_us for k in kept] == sorted({k.time_us for k in kept})
    for tick in range(int(times[-1] * fps / 1_000_000) + 1):
        now = int(tick * 1_000_000 / fps)
        shown = max(number for number, time in enumerate(times) if time <= now)
        ours = [k for k in kept if k.time_us <= now][-1]
        assert ours.number == shown


def test_sixty_pictures_a_second_become_twenty_five() -> None:
    times = [number * 1_000_000 // 60 for number in range(60)]
    kept = list(at_rate(frames(times), Fraction(25)))
    assert [k.time_us for k in kept] == list(range(0, 1_000_001, 40_000))
    assert [k.number for k in kept[:4]] == [0, 2, 4, 7]


def test_a_slow_source_keeps_its_pictures() -> None:
    kept = list(at_rate(frames([0, 100_000, 200_000]), Fraction(25)))
    assert [(k.time_us, k.number) for k in kept] == [(0, 0), (120_000, 1), (200_000, 2)]


def test_a_photograph_has_no_rate(tmp_path: Path) -> None:
    source = open_source(save(astronaut(), tmp_path / "face.png"), 1280, Fraction(25))
    assert [(time, number) for time, _, number in source.frames()] == [(0, 0)]


def test_numbers_count_the_pictures_of_the_file(tmp_path: Path) -> None:
    """At 50 pictures a second every other one is left out, but the numbers are the file's."""
    pictures = [np.full((128, 128, 3), 10 * number, np.uint8) for number in range(10)]
    clip = write_clip(tmp_path / "clip.mkv", pictures, [20 * number for number in range(10)])
    source = open_source(clip, 1280, None)
    assert [(time, number) for time, _, number in source.frames()] == [(40_000 * n, 2 * n) for n in range(5)]
    rated = open_source(clip, 1280, Fraction(12))
    assert [(time, number) for time, _, number in rated.frames()] == [(0, 0), (83_333, 4), (166_666, 8)]
    lazy = SourcePictures(rated, 3)
    assert [int(lazy[index][0, 0, 0]) for index in (2, 0, 1)] == [80, 0, 40]


@pytest.mark.parametrize(("side", "size"), [(256, (256, 256)), (400, (400, 400)), (4096, (512, 512))])
def test_the_long_side_is_bounded_as_asked(tmp_path: Path, side: int, size: tuple[int, int]) -> None:
    photo = open_source(save(astronaut(), tmp_path / "face.png"), side, None)
    clip = open_source(write_clip(tmp_path / "clip.mkv", [astronaut()]), side, None)
    for source in (photo, clip):
        assert (source.width, source.height) == size
        assert source.scale == size[0] / 512
        assert next(source.frames()).picture.shape == (*size, 3)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        open_source(tmp_path / "missing", 1280, None)
    assert caught.value.reason is Reason.INVALID_PICTURE
