"""The index of what can be watched, and the playlist that is made of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.folders import GENERATIONS_MAX
from avatar_core.watching import SEGMENTS_KEPT, WatchIndex, first_number, playlist, read_index

CODECS = "avc1.640016,mp4a.40.2"
LENGTHS = st.floats(0.01, 10, allow_nan=False)


@st.composite
def indices(draw: st.DrawFn) -> WatchIndex:
    index = WatchIndex()
    for number, lengths in enumerate(draw(st.lists(st.lists(LENGTHS, max_size=5), max_size=4))):
        index = index.begun(number, CODECS)
        for length in lengths:
            index = index.grown(number, length)
    return replace(index, ended=draw(st.booleans()))


@given(indices())
def test_an_index_is_read_as_it_was_written(index: WatchIndex) -> None:
    assert read_index(index.to_json()) == index


@given(indices())
def test_a_playlist_names_every_segment_after_its_init_segment(index: WatchIndex) -> None:
    lines = playlist(index).splitlines()
    begun = [each for each in index.generations if each.segments]
    assert lines[0] == "#EXTM3U"
    assert [line for line in lines if not line.startswith("#")] == [
        segment.name for each in begun for segment in each.segments
    ]
    maps = [line for line in lines if line.startswith("#EXT-X-MAP")]
    assert maps == [f'#EXT-X-MAP:URI="{each.init}"' for each in begun]
    for each, line in zip(begun, maps, strict=True):
        assert lines.index(line) < lines.index(each.segments[0].name)
    assert lines.count("#EXT-X-DISCONTINUITY") == max(0, len(begun) - 1)
    assert (lines[-1] == "#EXT-X-ENDLIST") == index.ended
    told = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF:")]
    assert told == [s.seconds for each in begun for s in each.segments]
    target = int(re.search(r"TARGETDURATION:(\d+)", "\n".join(lines))[1])  # type: ignore[index]
    assert all(round(seconds) <= target for seconds in told)


@given(indices(), LENGTHS)
def test_a_playlist_only_grows(index: WatchIndex, seconds: float) -> None:
    index = replace(index.begun(7, CODECS), ended=False)
    before, after = (playlist(each).splitlines()[3:] for each in (index, index.grown(7, seconds)))
    assert after[: len(before)] == before


def test_an_index_is_bounded() -> None:
    index = WatchIndex().begun(0, CODECS).grown(0, 1).begun(1, CODECS)
    for _ in range(SEGMENTS_KEPT):
        index = index.grown(1, 1)
    assert [each.init for each in index.generations] == ["watch-1-init.mp4"]
    assert len(index.to_json()) < 1024 * 1024


def pod_index(first: int, lengths: int, drawings: int = 1) -> WatchIndex:
    """What a pod has drawn."""
    index = WatchIndex()
    for number in range(first, first + drawings):
        index = index.begun(number, CODECS)
        for _ in range(lengths):
            index = index.grown(number, 1)
    return index


def test_a_pod_that_comes_later_has_numbers_of_its_own() -> None:
    first = first_number(WatchIndex(), 1_800_000_000.25)
    assert first == 1_800_000_000_250_000
    before = pod_index(first + 7, 2)
    for now in (1_800_000_000.25, 1_800_000_010.0, 1_700_000_000.0):  # the last one's clock is slow
        later = first_number(before, now)
        assert later >= first + GENERATIONS_MAX
    assert len(str(later)) == 16


@given(st.integers(1, 3), st.integers(0, 5), st.integers(1, 3), st.integers(0, 5))
def test_the_later_pod_keeps_what_was_before_it_and_the_earlier_one_gives_up(
    drawn: int, lengths: int, drawn_later: int, lengths_later: int
) -> None:
    before = pod_index(5000, lengths, drawn)
    later = pod_index(first_number(before, 0), lengths_later, drawn_later)
    index = later.after(before)
    assert index
    assert index.generations == (*before.generations, *later.generations)
    assert read_index(index.to_json()) == index
    assert later.after(index) == index
    assert before.after(index) is None
    # The earlier pod had looked before the later one's index came, and stored its own after it.
    assert later.after(before.grown(before.generations[-1].number, 1)) is not None


GOOD = WatchIndex().begun(0, CODECS).grown(0, 1).to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"ended": 1},
        {"codecs": 'x"; y'},
        {"generations": [{"init": "../x", "segments": []}]},
        {"generations": [{"init": "watch-0-init.mp4", "segments": [{"name": "http://x/", "seconds": 1}]}]},
        {
            "generations": [
                {"init": "watch-0-init.mp4", "segments": [{"name": "watch-0-0.m4s\n#", "seconds": 1}]}
            ]
        },
        *(
            {
                "generations": [
                    {"init": "watch-0-init.mp4", "segments": [{"name": "watch-0-0.m4s", "seconds": s}]}
                ]
            }
            for s in (0, -1, True, "1", 1e9, float("nan"), None)
        ),
        {"generations": 5},
    ],
)
def test_what_is_no_index(change: dict[str, object]) -> None:
    assert read_index(GOOD)
    with pytest.raises(ValueError, match=r"index|segment"):
        read_index(json.dumps(json.loads(GOOD) | change).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"[" * 100_000, b" " * 2_000_000])
def test_what_is_nothing_of_the_kind(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"index|Expecting"):
        read_index(data)
