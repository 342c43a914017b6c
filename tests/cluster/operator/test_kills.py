"""The operator is killed again and again, at any moment of what it does."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.cluster import RUNNING, PodState, ended
from tests.cluster.forking import Forked
from tests.cluster.operators import Json, Replica, World
from tests.cluster.patience import eventually
from tests.cluster.sessions import all_succeed, jobs_made, pods_that_run

from avatar_operator.names import job_name

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
SEED, KILLS, SESSIONS_A_KILL = 20261130, 50, 2
LEASE = {"duration": 1, "deadline": 0.9, "period": 0.1}


class Killed:
    """Two replicas, so that one is warm when the other dies; sessions come, end and are deleted meanwhile."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.world, self._dice = world, dice
        self.alive: list[Replica] = []
        self.kept: set[str] = set()
        self.deleted: dict[str, str] = {}
        self.emptied: Counter[str] = Counter()

    def start(self) -> None:
        self.alive.append(self.world.start(launch=Forked, wait=False, lease=LEASE, sessionsInNamespace=12))

    def kill(self) -> None:
        """Mostly the one that leads, at any moment of its work; sometimes one that is still starting."""
        if self._dice.random() < 0.7:
            with suppress(AssertionError):  # on a busy machine nobody may lead for long
                eventually(lambda: any(replica.leads() for replica in self.alive), seconds=2)
        time.sleep(self._dice.uniform(0, 0.6))
        victim = next((replica for replica in self.alive if replica.leads()), self.alive[0])
        time.sleep(self._dice.uniform(0, 0.1))
        self._end(victim)

    def settle(self) -> Replica:
        """The last two are killed as well; one that is patient enough for a busy machine takes over."""
        for replica in list(self.alive):
            self._end(replica)
        return self.world.start()

    def _end(self, victim: Replica) -> None:
        self.alive.remove(victim)
        victim.end(signal.SIGKILL)
        assert victim.errors == []

    def change(self, number: int) -> None:
        """New sessions; one that has ended, or runs, is deleted."""
        for half in "ab"[:SESSIONS_A_KILL]:
            self.kept.add(f"s{number:02}{half}")
            self.world.apply(f"s{number:02}{half}")
        if number % 3 == 2:
            begun = {job["metadata"]["labels"]["avatars.dev/session"] for job in self.world.jobs()}
            name = self._dice.choice(sorted(self.kept & begun or self.kept))
            self.kept.remove(name)
            self.deleted[name] = self.world.session(name)["metadata"]["uid"]
            self.world.delete(name)

    def empty(self, pod: Json) -> Iterator[PodState]:
        """A clean-up pod; what it is told to empty is counted."""
        self.emptied.update(json.loads(pod["metadata"]["annotations"]["avatars.dev/folders"]))
        yield RUNNING
        yield ended(0)

    def post(self, pod: Json) -> None:
        """As a session does before it ends: to whoever is there, and not for long."""
        name = pod["metadata"]["labels"]["avatars.dev/session"]
        with suppress(Exception):  # its message says the same
            token, receipt = self.world.token(pod["metadata"]["name"]), self.world.receipt(name)
            any(replica.post("result", token, receipt)[0] == 202 for replica in list(self.alive))


def test_killed_at_fifty_moments_nothing_is_lost_or_doubled(world: World) -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    killed = Killed(world, dice)
    pods = pods_that_run(lambda: random.uniform(0.2, 2.5), killed.post)
    with (
        world.cluster.kubelet(world.namespace, pods),
        world.cluster.kubelet(world.release, killed.empty),
    ):
        killed.start()
        for number in range(KILLS):
            killed.start()
            killed.change(number)
            killed.kill()
        last = killed.settle()
        all_succeed(world, killed.kept)
        eventually(lambda: not set(killed.deleted) & set(world.listed()), seconds=30)
        made = jobs_made(world)
        used = {uid for uid in killed.deleted.values() if made[job_name(uid, 1)]}
        assert len(used) >= KILLS // 6
        assert set(killed.emptied.values()) == {1}
        emptied = {key.rpartition("/")[2] for key in killed.emptied}
        assert used <= emptied <= set(killed.deleted.values())
        assert last.end() == 0
        assert last.errors == []
