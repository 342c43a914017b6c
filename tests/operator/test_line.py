"""The line: first come, first served in a namespace, turn by turn between them, never over the limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from avatar_operator.deadlines import Deadlines
from avatar_operator.line import Capacity, Line, Ticket


def line(cluster: int = 4, namespace: int = 2) -> Line:
    made = Line(Capacity(cluster, namespace))
    made.open()
    return made


def join(made: Line, *names: str, now: float = 0) -> None:
    """Names such as "a1": the first letter is the namespace, the rest the time of creation."""
    for name in names:
        made.wait(Ticket(int(name[1:]), name, name[0]), None, now)


def test_first_come_first_served_whatever_the_order_of_arrival() -> None:
    made = line(1, 1)
    join(made, "a3", "a1", "a2")
    served = []
    while admitted := made.admit():
        served += admitted
        made.leave(admitted[0])
    assert served == ["a1", "a2", "a3"]


def test_one_of_another_namespace_waits_for_one_place_not_for_five_thousand() -> None:
    made = line(4, 4)
    join(made, *(f"a{n}" for n in range(5000)))
    assert made.admit() == ["a0", "a1", "a2", "a3"]
    join(made, "b9000")
    made.leave("a0")
    assert made.admit() == ["b9000"]


def test_a_namespace_at_its_limit_holds_up_nobody_else() -> None:
    made = line(10, 2)
    join(made, "a1", "a2", "a3", "b4")
    assert set(made.admit()) == {"a1", "a2", "b4"}
    assert made.waiting == 1


def test_nobody_enters_before_those_inside_are_known() -> None:
    made = Line(Capacity(2, 2))
    join(made, "a5")
    assert made.admit() == []
    made.hold("a1", "a")
    made.hold("b2", "b")
    made.open()
    assert made.admit() == []
    made.leave("b2")
    assert made.admit() == ["a5"]


def test_who_is_there_already_counts_even_over_the_limit() -> None:
    made = line(1, 1)
    made.hold("a1", "a")
    made.hold("a2", "a")
    join(made, "b3")
    made.leave("a1")
    assert made.admit() == []
    made.leave("a2")
    assert made.admit() == ["b3"]


def test_positions_are_told_to_the_first_ten_and_to_few_others_once_a_minute() -> None:
    made = line(1, 1)
    join(made, "a0")
    assert made.admit() == ["a0"]
    join(made, *(f"a{n}" for n in range(1, 31)))
    assert made.refresh(1) == []  # everybody got one by joining
    assert (made.shown("a1"), made.shown("a30"), made.shown("a0")) == (1, 30, None)
    made.leave("a0")
    assert made.admit() == ["a1"]
    changed = made.refresh(10)
    assert changed == [f"a{n}" for n in range(2, 12)]
    assert (made.shown("a11"), made.shown("a12")) == (10, 12)
    assert made.refresh(61) == [f"a{n}" for n in range(12, 17)]
    assert made.refresh(62) == [f"a{n}" for n in range(17, 22)]
    assert [len(made.refresh(now)) for now in (63, 64, 65)] == [5, 4, 0]


def test_who_joins_is_told_its_place_between_the_namespaces() -> None:
    made = line(2, 2)
    join(made, *(f"a{n}" for n in range(100)))
    assert made.admit() == ["a0", "a1"]
    join(made, "b200", "b201", "b202", "b203", "a204")
    assert [made.shown(f"b20{n}") for n in range(3)] == [1, 2, 4]
    assert (made.shown("b203"), made.shown("a204")) == (6, 103)
    assert made.refresh(1) == ["a3", "a4", "a5", "a6", "a7"]  # whom the others came before


def test_nobody_is_told_a_position_before_all_are_there() -> None:
    made = Line(Capacity(1, 1))
    join(made, "a3", "a1", "a2")
    made.wait(Ticket(4, "a4", "a"), 9, now=0)
    assert made.shown("a3") is None
    made.open()
    assert made.admit() == ["a1"]
    made.number(0)
    assert [made.shown(f"a{n}") for n in (1, 2, 3, 4)] == [None, 1, 2, 9]


def test_a_restart_does_not_write_positions_that_were_just_written() -> None:
    made = line(1, 1)
    made.hold("a0", "a")
    for n in range(1, 40):
        made.wait(Ticket(n, f"a{n}", "a"), n + 3, now=0)
    assert made.refresh(1) == [f"a{n}" for n in range(1, 11)]


def test_coming_back_keeps_the_place() -> None:
    made = line(1, 1)
    made.hold("a0", "a")
    join(made, "a1", "a2")
    made.leave("a1")
    join(made, "a1")
    made.leave("a0")
    assert made.admit() == ["a1"]
    assert made.waiting == 1


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["wait", "leave", "hold", "admit"]), st.sampled_from("abc"), st.integers(0, 6)),
    max_size=60,
)


@given(ACTIONS, st.integers(1, 4), st.integers(1, 3))
def test_limits_hold_and_nobody_is_forgotten(
    actions: list[tuple[str, str, int]], cluster: int, namespace: int
) -> None:
    made, inside, waiting = line(cluster, namespace), set(), set()
    for action, where, number in actions:
        uid = f"{where}{number}"
        if action == "wait":
            join(made, uid)
            waiting |= {uid} - inside
        elif action == "leave":
            made.leave(uid)
            inside.discard(uid)
            waiting.discard(uid)
        elif action == "hold":
            made.hold(uid, where)
            inside.add(uid)
            waiting.discard(uid)
        else:
            before = len(inside)
            admitted = made.admit()
            assert set(admitted) <= waiting
            inside |= set(admitted)
            waiting -= set(admitted)
            assert not admitted or len(inside) <= max(cluster, before)
            for other in waiting:
                full = sum(name[0] == other[0] for name in inside) >= namespace
                assert full or len(inside) >= cluster
        assert (made.holding, made.waiting) == (len(inside), len(waiting))
        made.refresh(0)
        assert all((made.shown(name) is not None) == (name in waiting) for name in waiting | inside)


DEADLINES = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 20)), max_size=200)


@given(DEADLINES, st.integers(0, 20))
def test_deadlines_are_those_last_set(changes: list[tuple[str, int | None]], now: int) -> None:
    heap, expected = Deadlines[str](), dict[str, int]()
    for key, at in changes:
        heap.set(key, at)
        expected.pop(key, None)
        if at is not None:
            expected[key] = at
    assert len(heap) == len(expected)
    assert heap.next() == min(expected.values(), default=None)
    due = heap.due(now)
    assert set(due) == {key for key, at in expected.items() if at <= now}
    assert [expected[key] for key in due] == sorted(expected[key] for key in due)
    assert heap.due(now) == []


def test_a_deadline_moved_ten_thousand_times_is_one_deadline() -> None:
    heap = Deadlines[str]()
    for at in range(10_000):
        heap.set("a", at)
        heap.set("b", -at)
    assert len(heap._heap) < 200
    assert heap.due(0) == ["b"]
