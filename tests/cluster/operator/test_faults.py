"""What breaks in clusters: watches are cut, servers restart, writes are refused, the operator is killed."""

from __future__ import annotations

import random
import signal
import time

import pytest
from tests.cluster import RUNNING, Kubelet, Refusal, ended, eventually
from tests.cluster.operators import World

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_what_vanished_while_the_watches_were_cut_is_noticed(world: World, kubelet: Kubelet) -> None:
    link = world.cluster.link()
    operator = world.start(link=link, lease={"duration": 60, "deadline": 50, "period": 0.5})
    world.apply("gone", ttlSecondsAfterFinished=0)
    world.apply("jobless")
    for name in ("gone", "jobless"):
        kubelet.play(kubelet.pod(f"avatars.dev/session={name}"), RUNNING)
        world.until("Unknown", "Running", name)
    with link.refused():
        link.cut()
        [job] = world.jobs_of("jobless")
        path = f"/apis/batch/v1/namespaces/{world.namespace}/jobs/{job['metadata']['name']}"
        world.cluster.rest.delete(path, {"propagationPolicy": "Background"})
        path = f"/apis/avatars.dev/v1alpha1/namespaces/{world.namespace}/avatarsessions/gone"
        world.cluster.rest.patch(path, {"metadata": {"finalizers": None}})
        world.delete("gone")
        eventually(lambda: not world.session("gone") and not world.jobs())
        world.cluster.forget_history()
    back = time.monotonic()
    kubelet.pod("avatars.dev/session=jobless,avatars.dev/attempt=2", seconds=20)
    phase = 'avatar_sessions{phase="Running",reason="Running"}'
    assert eventually(lambda: operator.metric(phase) == 0 and operator.probe("/healthz")[0] == 200)
    assert time.monotonic() < back + 15
    assert operator.errors == []


def test_the_api_server_restarts(world: World, kubelet: Kubelet) -> None:
    operator = world.start(lease={"duration": 30, "deadline": 20, "period": 0.5})
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    world.cluster.restart_api_server()
    kubelet.play(pod, RUNNING)
    world.until("Unknown", "Running")
    assert operator.post("result", world.token(pod), world.receipt())[0] == 202
    world.until("True", "Succeeded")
    assert operator.process.poll() is None
    assert operator.errors == []


def test_etcd_is_down_for_a_while(world: World, kubelet: Kubelet) -> None:
    operator = world.start(lease={"duration": 30, "deadline": 25, "period": 0.5})
    world.apply()
    pod = kubelet.pod("avatars.dev/session=hello")
    kubelet.play(pod, RUNNING)
    token, receipt = world.token(pod), world.receipt()
    world.cluster.stop_etcd()
    assert operator.post("result", token, receipt)[0] in {202, 503}
    time.sleep(5)
    world.cluster.start_etcd()
    eventually(lambda: operator.post("result", token, receipt)[0] == 202)
    world.until("True", "Succeeded", seconds=40)
    assert operator.errors == []


@pytest.mark.parametrize("code", [409, 429, 500])
def test_a_storm_of_refusals(world: World, kubelet: Kubelet, code: int) -> None:
    operator = world.start(lease={"duration": 30, "deadline": 20, "period": 0.5})
    with world.cluster.refusing(world.user, Refusal(code, one_in=2)):
        world.apply()
        pod = kubelet.pod("avatars.dev/session=hello", seconds=30)
        kubelet.play(pod, RUNNING)
        world.until("Unknown", "Running", seconds=30)
        token = world.token(pod)
        eventually(lambda: operator.post("result", token, world.receipt())[0] == 202)
        world.until("True", "Succeeded", seconds=30)
    assert len(world.jobs()) == 1
    assert operator.errors == []


def test_killed_at_any_moment_nothing_is_lost_or_doubled(world: World) -> None:
    dice = random.Random(7)
    names: list[str] = []
    lease = {"duration": 1, "deadline": 0.8, "period": 0.1}
    with world.cluster.kubelet(world.namespace, lambda _: [RUNNING]) as kubelet:
        for number in range(8):
            operator = world.start(lease=lease)
            eventually(operator.leads)
            for half in "ab":
                names.append(f"s{number}{half}")
                world.apply(names[-1])
            time.sleep(dice.uniform(0, 0.25))
            operator.end(signal.SIGKILL)
            assert operator.errors == []
        operator = world.start(lease=lease)
        eventually(operator.leads)
        for name in names:
            pod = kubelet.pod(f"avatars.dev/session={name}")
            assert operator.post("result", world.token(pod), world.receipt(name))[0] == 202
            kubelet.play(pod, ended(0))
        for name in names:
            assert world.until("True", "Succeeded", name)["attempt"] == 1
            assert len(world.jobs_of(name)) == 1
        assert operator.end() == 0
        assert operator.errors == []
