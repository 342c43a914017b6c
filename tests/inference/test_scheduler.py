from collections import Counter
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from avatar_inference.scheduler import Scheduler

FPS = Fraction(15)


def offline(frames: dict[str, int], max_batch: int, batch_size: int = 2) -> Scheduler[str]:
    scheduler: Scheduler[str] = Scheduler(max_batch)
    for name, count in frames.items():
        scheduler.add(name, batch_size=batch_size, fps=FPS)
        scheduler.put(name, [(i, name) for i in range(count)], arrival=0)
    return scheduler


def test_a_lone_stream_takes_idle_places_beyond_its_batch_size() -> None:
    batch = offline({"a": 20}, max_batch=8).next_batch()
    assert [task.index for task in batch] == list(range(8))


def test_batch_size_bounds_a_stream_while_others_wait() -> None:
    batch = offline({"a": 20, "b": 20, "c": 20, "d": 20}, max_batch=8).next_batch()
    assert Counter(task.stream for task in batch) == {"a": 2, "b": 2, "c": 2, "d": 2}


def test_idle_places_are_filled_after_everyone_had_a_share() -> None:
    batch = offline({"a": 20, "b": 1}, max_batch=8).next_batch()
    assert Counter(task.stream for task in batch) == {"a": 7, "b": 1}


def test_live_frames_go_first_earliest_due_first() -> None:
    scheduler = offline({"offline": 4}, max_batch=2)
    scheduler.add("late", batch_size=1, fps=FPS, live=True, budget=0.25)
    scheduler.add("soon", batch_size=1, fps=FPS, live=True, budget=0.25)
    scheduler.put("late", [(0, "x")], arrival=10.0)
    scheduler.put("soon", [(0, "x")], arrival=9.0)
    assert [task.stream for task in scheduler.next_batch()] == ["soon", "late"]


def test_due_times_keep_a_frame_apart_and_restart_after_a_pause() -> None:
    scheduler: Scheduler[str] = Scheduler(8)
    scheduler.add("a", batch_size=4, fps=Fraction(20), live=True, budget=0.25)
    scheduler.put("a", [(0, "x"), (1, "x")], arrival=1.0)
    scheduler.put("a", [(2, "x")], arrival=9.0)
    assert [round(task.due, 6) for task in scheduler.next_batch()] == [1.25, 1.3, 9.25]


def test_idling_earns_no_credit() -> None:
    scheduler = offline({"busy": 1000, "lazy": 0}, max_batch=1)
    for _ in range(500):
        scheduler.next_batch()
    scheduler.put("lazy", [(i, "lazy") for i in range(100)], arrival=0)
    order = [scheduler.next_batch()[0].stream for _ in range(40)]
    assert abs(order.count("lazy") - order.count("busy")) <= 2


def test_a_held_stream_is_passed_over_and_comes_back() -> None:
    scheduler = offline({"a": 4, "b": 4}, max_batch=4)
    scheduler.hold("a", True)
    assert {task.stream for task in scheduler.next_batch()} == {"b"}
    assert not scheduler.has_work
    scheduler.hold("a", False)
    assert [task.index for task in scheduler.next_batch()] == [0, 1, 2, 3]


def test_removal_drops_queued_frames_before_the_next_step() -> None:
    scheduler = offline({"a": 5, "b": 5}, max_batch=8)
    assert scheduler.remove("a") == 5
    assert {task.stream for task in scheduler.next_batch()} == {"b"}
    assert scheduler.remove("a") == 0


@given(
    streams=st.integers(2, 40),
    frames=st.integers(1, 60),
    max_batch=st.integers(1, 33),
    batch_size=st.integers(1, 4),
)
def test_equal_clips_progress_equally(streams: int, frames: int, max_batch: int, batch_size: int) -> None:
    """When the first stream is done, no other is more than one step's share behind."""
    scheduler = offline({f"s{i}": frames for i in range(streams)}, max_batch, batch_size)
    done: Counter[str] = Counter()
    while max(done.values(), default=0) < frames:
        done.update(task.stream for task in scheduler.next_batch())
    assert frames - min(done[f"s{i}"] for i in range(streams)) <= max(batch_size, -(-max_batch // streams))


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: frames come once, in order, within bounds, and nobody starves."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler: Scheduler[str] = Scheduler(4)
        self.next_in: dict[str, int] = {}
        self.next_out: dict[str, int] = {}
        self.held: set[str] = set()
        self.clock = 0.0
        self.made = 0

    @rule(live=st.booleans(), batch_size=st.integers(1, 4))
    def add(self, live: bool, batch_size: int) -> None:
        self.made += 1
        name = f"s{self.made}"
        self.scheduler.add(name, batch_size=batch_size, fps=FPS, live=live)
        self.next_in[name] = self.next_out[name] = 0

    @precondition(lambda self: self.next_in)
    @rule(data=st.data(), count=st.integers(0, 6), passed=st.floats(0, 1))
    def put(self, data: st.DataObject, count: int, passed: float) -> None:
        name = data.draw(st.sampled_from(sorted(self.next_in)))
        self.clock += passed
        start = self.next_in[name]
        self.scheduler.put(name, [(i, name) for i in range(start, start + count)], self.clock)
        self.next_in[name] += count

    @precondition(lambda self: self.next_in)
    @rule(data=st.data(), held=st.booleans())
    def hold(self, data: st.DataObject, held: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.next_in)))
        self.scheduler.hold(name, held)
        (self.held.add if held else self.held.discard)(name)

    @precondition(lambda self: self.next_in)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.next_in)))
        assert self.scheduler.remove(name) == self.next_in.pop(name) - self.next_out.pop(name)
        self.held.discard(name)

    @rule()
    def step(self) -> None:
        ready = {n for n in self.next_in if n not in self.held and self.next_in[n] > self.next_out[n]}
        expected = min(4, sum(self.next_in[n] - self.next_out[n] for n in ready))
        batch = self.scheduler.next_batch()
        assert len(batch) == expected
        for task in batch:
            assert task.stream in ready
            assert task.index == self.next_out[task.stream]
            self.next_out[task.stream] += 1

    @invariant()
    def counts_agree(self) -> None:
        assert self.scheduler.waiting() == sum(self.next_in[n] - self.next_out[n] for n in self.next_in)


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
