"""Several operator processes: one leads, others are ready to, and posts find their way."""

from __future__ import annotations

import signal
import time

import pytest
from tests.cluster import RUNNING, Kubelet, eventually
from tests.cluster.operators import World

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


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
    leader, follower = world.start(), world.start()
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    assert leader.end() == 0
    ended = time.monotonic()
    assert eventually(follower.leads, seconds=5)
    kubelet.play(pod, RUNNING)
    world.until("Unknown", "Running")
    assert time.monotonic() < ended + 10
    assert follower.post("result", world.token(pod), world.receipt()) == (202, "")
    world.until("True", "Succeeded")
    assert len(world.jobs()) == 1


def test_a_frozen_leader_writes_nothing_once_it_is_thawed(world: World, kubelet: Kubelet) -> None:
    leader, follower = world.start(), world.start()
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    leader.process.send_signal(signal.SIGSTOP)
    assert eventually(follower.leads, seconds=10)
    kubelet.play(pod, RUNNING)
    assert follower.post("result", world.token(pod), world.receipt())[0] == 202
    world.until("True", "Succeeded")
    before = world.session()["metadata"]["resourceVersion"]
    leader.process.send_signal(signal.SIGCONT)
    assert eventually(lambda: leader.process.poll() is not None, seconds=20)
    assert leader.process.returncode == 1
    assert world.session()["metadata"]["resourceVersion"] == before
    assert follower.leads()
