"""Any order of events, restarts anywhere, lost and doubled events, lagging caches, clock steps: one end.

LIVES=10000 in the environment looks longer than every day's 120 lives do.
"""

from __future__ import annotations

import os
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.fake_world import KINDS, World

from avatar_operator.objects import SpecView

INDEX = st.integers(0, 20)
SPECS = st.builds(
    SpecView,
    avatar_ref=st.sampled_from(["", "", "face"]),
    video_ttl=st.sampled_from([0, 30, 3600]),
    session_ttl=st.sampled_from([None, None, 0, 5000]),
)
LAST = (0, 0, -143, -143, 14, 41, 137, 137, 1, 124)
ACTS: st.SearchStrategy[str | int] = st.sampled_from(
    ["start", "write", "commit", "commit", "post", "evict", "kill", "kill", "silence", "hang", *LAST]
)
Item = TypeVar("Item")


class Life(RuleBasedStateMachine):
    """People, controllers, kubelets, faults and the operator take turns in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.cluster = self.world.cluster
        self.store_falters = False

    @initialize(
        specs=st.lists(SPECS, min_size=1, max_size=3),
        turns=st.integers(0, 3),
        store=st.sampled_from(["answers", "answers", "falters", "unknown"]),
    )
    def begin(self, specs: list[SpecView], turns: int, store: str) -> None:
        self.world = World(asks=store != "unknown")
        self.store_falters = store == "falters"
        self.cluster = self.world.cluster
        for number, spec in enumerate(specs):
            self.cluster.add_session("ab"[number % 2], spec)
        for _ in range(turns):
            self.world.turn()

    # people

    @precondition(lambda self: len(self.cluster.store) < 4)
    @rule(namespace=st.sampled_from("ab"), spec=SPECS)
    def apply(self, namespace: str, spec: SpecView) -> None:
        self.cluster.add_session(namespace, spec)

    @precondition(lambda self: self.cluster.sessions)
    @rule(
        index=INDEX, what=st.sampled_from(["suspend", "resume", "cancel", "retry", "retry", "ttl", "delete"])
    )
    def change(self, index: int, what: str) -> None:
        self.world.change(pick(list(self.cluster.sessions), index), what)

    @precondition(lambda self: self.cluster.jobs)
    @rule(index=INDEX)
    def delete_job(self, index: int) -> None:
        self.world.delete_job(pick(list(self.cluster.jobs), index))

    @rule(avatar_ready=st.booleans(), quota_full=st.booleans())
    def weather(self, avatar_ready: bool, quota_full: bool) -> None:
        self.world.prepare_avatar(ready=avatar_ready)
        self.cluster.quota_full = quota_full

    @precondition(lambda self: self.store_falters)
    @rule(down=st.sampled_from([False, False, True]))
    def store_answers(self, down: bool) -> None:
        self.world.store_answers(down=down)

    # pods and clean-up Jobs

    @precondition(lambda self: self.cluster.pods)
    @rule(index=INDEX, acts=st.lists(ACTS, min_size=1, max_size=4))
    def pod_lives(self, index: int, acts: list[str | int]) -> None:
        self.world.act(pick(list(self.cluster.pods.values()), index), acts)

    @precondition(lambda self: any(not pod.view.over for pod in self.cluster.pods.values()))
    @rule(index=INDEX, acts=st.lists(ACTS, min_size=1, max_size=3))
    def pod_runs(self, index: int, acts: list[str | int]) -> None:
        alive = [pod for pod in self.cluster.pods.values() if not pod.view.over]
        self.world.act(pick(alive, index), ["start", "write", *acts])

    @precondition(lambda self: self.cluster.cleanups)
    @rule(index=INDEX, ok=st.booleans())
    def clean_up(self, index: int, ok: bool) -> None:
        self.world.clean_up(pick(list(self.cluster.cleanups), index), ok=ok)

    # time and faults

    @rule(seconds=st.sampled_from([1, 12, 40, 130, 310, 3700]))
    def pass_time(self, seconds: int) -> None:
        self.cluster.pass_time(seconds)

    @rule(seconds=st.sampled_from([-400, -7, 0, 0, 7, 400]))
    def step_clock(self, seconds: int) -> None:
        self.world.step_clock(seconds)

    @precondition(lambda self: self.cluster.changes)
    @rule(index=INDEX, how=st.sampled_from(["once", "twice", "never"]))
    def deliver(self, index: int, how: str) -> None:
        change = pick(self.cluster.changes, index)
        if how != "twice":
            self.cluster.changes.remove(change)
        if how != "never":
            self.world.operator.deliver(*change)

    @rule(again=st.sampled_from(["list", "process"]))
    def restart(self, again: str) -> None:
        if again == "list":
            self.world.operator.relist()
        else:
            self.world.restart()

    # the operator

    @precondition(lambda self: self.world.operator.queue)
    @rule(index=INDEX, calls=st.sampled_from([None, None, 1, 2, 3]))
    def operate(self, index: int, calls: int | None) -> None:
        self.world.step(pick(list(self.world.operator.queue), index), calls)

    @rule(turns=st.lists(st.sets(st.sampled_from(KINDS)), min_size=1, max_size=3))
    def turn(self, turns: list[set[str]]) -> None:
        for kinds in turns:
            self.world.turn(kinds)

    @rule(turns=st.integers(1, 2))
    def turn_all(self, turns: int) -> None:
        for _ in range(turns):
            self.world.turn()

    @invariant()
    def check(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.rest()


def pick(items: list[Item], index: int) -> Item:
    return items[index % len(items)]


Life.TestCase.settings = settings(
    max_examples=int(os.environ.get("LIVES", "120")),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLife = Life.TestCase
