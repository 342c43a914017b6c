from fractions import Fraction

import pytest

from avatar_core.errors import InferenceError, Reason
from avatar_inference.admission import Admission, Limits, Ticket


def ticket(name: str, *, live: bool = False, fps: int = 25, held: int = 1, lower: bool = False) -> Ticket:
    return Ticket(name, Fraction(fps), live, held, lower)


def door(renders: int = 2, waiting: int = 2, held: int = 100) -> Admission:
    return Admission(Limits(renders, waiting, held))


def test_first_come_first_served_with_positions() -> None:
    admission = door()
    assert admission.ask(ticket("a"), 0) == 25
    assert admission.ask(ticket("b"), 0) == 25
    assert admission.ask(ticket("c"), 0) is None
    assert admission.ask(ticket("d"), 0) is None
    assert [admission.position(n) for n in "abcd"] == [0, 0, 1, 2]
    admission.leave("a", 3.0)
    assert admission.admit() == ["c"]
    assert admission.position("d") == 1
    assert admission.eta(1) == pytest.approx(3.0)


def test_a_full_line_is_refused_with_a_time_to_come_back() -> None:
    admission = door(renders=1, waiting=1)
    admission.ask(ticket("a"), 0)
    admission.ask(ticket("b"), 0)
    with pytest.raises(InferenceError) as caught:
        admission.ask(ticket("c"), 0)
    assert caught.value.reason is Reason.OVERLOADED
    assert caught.value.retry_after
    assert "come back" in str(caught.value)


def test_nobody_overtakes_the_line() -> None:
    admission = door(renders=2, held=10)
    admission.ask(ticket("a", held=8), 0)
    assert admission.ask(ticket("large", held=9), 0) is None
    assert admission.ask(ticket("small", held=1), 0) is None
    admission.leave("a", 1.0)
    assert admission.admit() == ["large", "small"]


def test_bytes_held_bound_the_renders_but_one_always_fits() -> None:
    admission = door(renders=8, held=10)
    assert admission.ask(ticket("huge", held=50), 0) is not None
    assert admission.ask(ticket("b", held=1), 0) is None


def test_leaving_the_line_frees_its_place() -> None:
    admission = door(renders=1, waiting=1)
    admission.ask(ticket("a"), 0)
    admission.ask(ticket("b"), 0)
    admission.leave("b", 1.0)
    assert admission.waiting == 0
    assert admission.ask(ticket("c"), 0) is None


def test_live_is_admitted_by_measured_rate() -> None:
    admission = door(renders=10)
    assert admission.ask(ticket("a", live=True), 70) == 25
    assert admission.ask(ticket("b", live=True), 70) == 25
    with pytest.raises(InferenceError, match="50 of 70 frames/s are promised"):
        admission.ask(ticket("c", live=True), 70)
    assert admission.waiting == 0  # LIVE never waits


def test_live_takes_a_lower_rate_only_when_allowed() -> None:
    admission = door(renders=10)
    admission.ask(ticket("a", live=True), 50)
    assert admission.ask(ticket("b", live=True, lower=True), 50) == 15
    with pytest.raises(InferenceError):
        admission.ask(ticket("c", live=True, lower=True), 50)
