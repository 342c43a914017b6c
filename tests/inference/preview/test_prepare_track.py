from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Box
from avatar_inference.preview.parting import Mouth
from avatar_inference.preview.track import settle_faces
from avatar_inference.source.findings import check_scan, find_findings
from avatar_inference.source.scan import Look, Scan

STEPS = st.lists(st.integers(25_000, 200_000), min_size=3, max_size=60)


def look(
    picture: int, time_us: int, x: float, *others: Box, width: int = 200, sharpness: float = 0.3
) -> Look:
    """A look that saw a face whose mouth is at x."""
    face = Box(int(x) - 100, 100, width, width)
    return Look(picture, time_us, (face, *others), face, Mouth(x, 250, 40, 0.0, 2.0, 0.0), sharpness)


def still(count: int, *missed: int, cuts: tuple[int, ...] = ()) -> Scan[Mouth]:
    """Pictures 40 ms apart, all looked at, a resting face in all but the missed."""
    looks = [
        Look(number, 40_000 * number, ()) if number in missed else look(number, 40_000 * number, 300.0)
        for number in range(count)
    ]
    return Scan(tuple(range(0, 40_000 * count, 40_000)), tuple(looks), cuts)


def present(scan: Scan[Mouth]) -> list[bool]:
    return [face is not None for face in settle_faces(scan)]


@given(steps=STEPS, every=st.integers(1, 5), speed=st.floats(-100, 100))
def test_even_motion_is_kept_exactly(steps: list[int], every: int, speed: float) -> None:
    times = (0, *accumulate(steps))
    last = len(times) - 1
    places = [300 + speed * time / 1e6 for time in times]
    looked = sorted({*range(0, last, every), last})
    scan = Scan(times, tuple(look(number, times[number], places[number]) for number in looked), ())
    for face, place in zip(settle_faces(scan), places, strict=True):
        assert face is not None
        assert face.mouth.x == pytest.approx(place, abs=1e-6)
        assert (face.width, face.mouth.sag) == pytest.approx((200, 2.0))


@given(missed=st.sets(st.integers(0, 29), max_size=28))
def test_only_short_gaps_between_faces_are_bridged(missed: set[int]) -> None:
    faces = settle_faces(still(30, *missed))
    seen = sorted(set(range(30)) - missed)
    for number, face in enumerate(faces):
        before = max((s for s in seen if s <= number), default=None)
        after = min((s for s in seen if s >= number), default=None)
        bridged = before is not None and after is not None and (after - before) * 40_000 <= 500_000
        assert (face is not None) == bridged


def test_nothing_is_carried_over_a_cut() -> None:
    times = tuple(range(0, 400_000, 40_000))
    left, right = 300.0, 340.0
    looks = (look(0, 0, left), look(4, 160_000, left), look(5, 200_000, right), look(9, 360_000, right))
    faces = settle_faces(Scan(times, looks, cuts=(5,)))
    assert [face and round(face.mouth.x, 6) for face in faces] == [left] * 5 + [right] * 5
    gap = settle_faces(still(10, 4, 5, cuts=(5,)))
    assert [face is None for face in gap] == [number in (4, 5) for number in range(10)]


def test_a_face_that_jumps_is_not_dragged_across_the_picture() -> None:
    times = tuple(range(0, 400_000, 40_000))
    faces = settle_faces(Scan(times, (look(0, 0, 300.0), look(9, 360_000, 900.0)), ()))
    assert [face is not None for face in faces] == [True] + [False] * 8 + [True]


def test_findings_name_their_pictures() -> None:
    scan = still(40, *range(20, 40), cuts=(20,))
    looks = list(scan.looks)
    second = Box(600, 100, 150, 150)
    looks[3:6] = [look(n, 40_000 * n, 300.0, second) for n in range(3, 6)]
    looks[8:10] = [look(n, 40_000 * n, 300.0, width=100) for n in range(8, 10)]
    looks[12] = look(12, 480_000, 300.0, sharpness=0.01)
    scan = Scan(scan.times_us, tuple(looks), scan.cuts)
    found = [(f.reason, f.first_picture, f.last_picture) for f in find_findings(scan, present(scan), 0)]
    assert found == [
        ("SeveralFaces", 3, 5),
        ("SmallFace", 8, 9),
        ("Blurred", 12, 12),
        ("HardCut", 20, 20),
        ("NoFace", 20, 39),
    ]
    chosen = find_findings(scan, present(scan), 1)
    assert "SeveralFaces" not in {finding.reason for finding in chosen}


def test_many_cuts_are_one_finding() -> None:
    scan = still(60, cuts=tuple(range(1, 60, 2)))
    (finding,) = find_findings(scan, present(scan), 0)
    assert (finding.reason, finding.first_picture, finding.last_picture) == ("HardCut", 1, 59)
    assert finding.message.startswith("30 hard cuts")


def test_a_second_face_too_small_to_speak_is_no_second_face() -> None:
    scan = Scan((0,), (look(0, 0, 300.0, Box(0, 0, 63, 63)),), ())
    check_scan(scan, 0, 1.0)
    with pytest.raises(InvalidInputError) as caught:
        check_scan(Scan((0,), (look(0, 0, 300.0, Box(0, 0, 64, 64)),), ()), 0, 0.5)
    assert caught.value.reason is Reason.SEVERAL_FACES
    assert "1: 400,200,400,400; 2: 0,0,128,128" in caught.value.message
