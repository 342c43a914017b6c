"""Several operator processes: one leads, others are ready to, and posts find their way."""

from __future__ import annotations

import signal
import time

import pytest
from tests.cluster import RUNNING, Kubelet, eventually
from tests.cluster.operators import World
from tests.cluster.sessions import all_succeed, pods_that_run

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
SHORT = {"duration": 3, "deadline": 2, "period": 0.4}
"""Where a leader that says nothing is to be replaced soon."""


def test_a_follower_writes_nothing_and_passes_posts_on(world: World, kubelet: Kubelet) -> None:
    leader, follower = world.start(), world.start()
    assert (leader.leads(), follower.leads()) == (True, False)
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    kubelet.play(pod, RUNNING)
    assert follower.post("result", world.token(pod), world.receipt()) == (202, "")
    world.until("True", "Succeeded")
    assert follower.metric('avatar_operator_api_requests_total{code="200",verb="patch"}') == 0
    assert follower.errors == leader.errors == []


def test_a_leader_that_ends_hands_over_at_once(world: World, kubelet: Kubelet) -> None:
    lease = {"duration": 60, "deadline": 50, "period": 1}
    leader, follower = world.start(lease=lease), world.start(lease=lease)
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    assert leader.end() == 0
    # Far less than it would wait for a Lease that nobody gave back.
    assert eventually(follower.leads, seconds=10)
    kubelet.play(pod, RUNNING)
    world.until("Unknown", "Running")
    assert follower.post("result", world.token(pod), world.receipt()) == (202, "")
    world.until("True", "Succeeded")
    assert len(world.jobs()) == 1


def test_a_frozen_leader_writes_nothing_once_it_is_thawed(world: World, kubelet: Kubelet) -> None:
    leader, follower = world.start(lease=SHORT), world.start(lease=SHORT)
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    leader.process.send_signal(signal.SIGSTOP)
    assert eventually(follower.leads, seconds=20)
    kubelet.play(pod, RUNNING)
    assert follower.post("result", world.token(pod), world.receipt())[0] == 202
    world.until("True", "Succeeded")
    before = world.session()["metadata"]["resourceVersion"]
    leader.process.send_signal(signal.SIGCONT)
    assert eventually(lambda: leader.process.poll() is not None, seconds=20)
    assert leader.process.returncode == 1
    assert world.session()["metadata"]["resourceVersion"] == before
    assert follower.leads()


def test_all_replicas_are_replaced_while_sessions_come(world: World) -> None:
    names = [f"s{number:02}" for number in range(30)]
    replicas = [world.start(), world.start()]
    with world.cluster.kubelet(world.namespace, pods_that_run(1.5)):
        for number, name in enumerate(names):
            world.apply(name)
            time.sleep(0.1)
            if number in (9, 19):
                assert replicas.pop(0).end() == 0
                replicas.append(world.start())
        all_succeed(world, names)
    assert [replica.end() for replica in replicas] == [0, 0]
    assert [replica.errors for replica in world.replicas] == [[]] * 4


def test_a_leader_freezes_amid_its_work(world: World) -> None:
    leader = world.start(lease=SHORT)
    follower = world.start(lease=SHORT)
    names = [f"s{number:02}" for number in range(12)]
    with world.cluster.kubelet(world.namespace, pods_that_run(1)):
        for name in names:
            world.apply(name)
        eventually(lambda: len(world.jobs()) >= 3)
        leader.process.send_signal(signal.SIGSTOP)
        assert eventually(follower.leads, seconds=20)
        time.sleep(1)
        leader.process.send_signal(signal.SIGCONT)
        assert eventually(lambda: leader.process.poll() is not None, seconds=20)
        all_succeed(world, names)
    assert leader.process.returncode == 1
    assert [leader.errors, follower.errors] == [[], []]
