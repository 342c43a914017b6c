"""One run: sessions are led to their ends, then the operator starts again with everything finished."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.operator import findings
from benchmarks.operator.load import Sent, arrive, burst, finish
from benchmarks.operator.meters import Meters, Sample, memory_of, seconds_of
from tests.cluster.operators import World
from tests.cluster.sessions import pods_that_run

PATIENCE_SECONDS = 1800
IDLE_SECONDS = 60
SETTLED_SECONDS, SETTLED_PERCENT = 5, 5
LOOKS = "avatar_operator_reconcile_seconds_count"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Attributes:
        sessions, rate: so many, so many a second; 0: all are there before the operator starts.
        places: how many may have a Job at once.
        running: seconds that each pod runs.
        finished: sessions that ended before, for the restart.
        requests: the operator's own limit, a second; 0: its default.
    """

    sessions: int
    rate: float
    places: int
    running: float
    finished: int
    requests: float

    def configuration(self) -> dict[str, Any]:
        """Of the operator where it is not that of tests: all namespaces, the default Lease."""
        limits = {"requestsASecond": self.requests, "requestsAtOnce": int(2 * self.requests)}
        return {
            "namespaces": [],
            "lease": {"duration": 15, "deadline": 10, "period": 2},
            "sessionsInCluster": self.places,
            "sessionsInNamespace": self.places,
            **(limits if self.requests else {}),
        }


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it: `rows` to be drawn, `found` to be read."""

    sent: list[Sent]
    made: dict[str, float]
    samples: list[Sample]
    found: dict[str, Any]

    def rows(self) -> dict[str, Any]:
        """Seconds are counted from the first session or, in a burst, from the operator's start."""
        begin = self.samples[0].at
        jobs = [
            [round(self.made[one.name] - begin, 2), round(self.made[one.name] - one.at, 3)]
            for one in self.sent
        ]
        return {
            "jobs": {"columns": ["made", "after"], "rows": sorted(jobs)},
            "sent": sorted(round(max(0, one.at - begin), 2) for one in self.sent),
            "samples": [
                {
                    "at": round(sample.at - begin, 1),
                    "finished": sample.finished,
                    "queued": sample.queued,
                    "cpu": {name: round(seconds, 2) for name, seconds in sample.cpu.items()},
                }
                for sample in self.samples
            ],
        }


def lead(world: World, plan: Plan) -> Run:
    """Sessions come and are led to success by an operator."""
    waiting = [] if plan.rate else burst(world, plan.sessions)
    begin = datetime.now(UTC)
    operator = world.start(**plan.configuration())
    with (
        world.cluster.kubelet(world.namespace, pods_that_run(plan.running)),
        Meters(world.cluster, operator) as meters,
    ):
        sent = waiting or arrive(world, plan.sessions, plan.rate)
        wait(lambda: meters.finished >= plan.sessions)
    memory = memory_of(operator.process.pid)
    assert operator.end() == 0
    assert operator.errors == []
    asked = world.cluster.audit_log(world.user, since=begin)
    made = findings.jobs_made(sent, asked)
    found = {
        "seconds_until_all_succeeded": round(meters.samples[-1].at - meters.samples[0].at, 1),
        "job_after_seconds": findings.spread([made[one.name] - one.at for one in sent]),
        "order": findings.order(sent, made),
        "requests_a_session": findings.requests_a_session(sent, asked),
        "most_writes_of_one_session": findings.most_writes(sent, asked),
        "refused": sum(request.code >= 400 for request in asked),
        "cpu": findings.cpu(meters.samples, plan.sessions),
        "operator_memory_mb": memory,
    }
    return Run(sent, made, meters.samples, found)


def restart(world: World, plan: Plan) -> dict[str, Any]:
    """A start with everything finished: until it is ready and has looked at all; how idle it is then."""
    finish(world, plan.finished)
    count, asked_at, begin = len(world.listed()), datetime.now(UTC), time.monotonic()
    operator = world.start(**plan.configuration())
    ready = time.monotonic() - begin
    wait(lambda: operator.metric(LOOKS) >= count, every=0.25)
    looked, memory = time.monotonic() - begin, memory_of(operator.process.pid)
    start_cpu = seconds_of(operator.process.pid)
    # Watches repeat what the first lists told, and are compared with lists once more.
    wait(lambda: busy_percent(operator.process.pid, SETTLED_SECONDS) < SETTLED_PERCENT)
    settled = time.monotonic() - begin - SETTLED_SECONDS
    idle = busy_percent(operator.process.pid, IDLE_SECONDS)
    assert operator.end() == 0
    asked = world.cluster.audit_log(world.user, since=asked_at)
    return {
        "sessions": count,
        "ready_seconds": round(ready, 1),
        "all_looked_at_seconds": round(looked, 1),
        "cpu_seconds": round(start_cpu, 1),
        "settled_seconds": round(settled, 1),
        "idle_cpu_percent": round(idle, 2),
        "memory_mb": memory,
        "writes": sum(request.writes and request.resource != "leases" for request in asked),
    }


def busy_percent(pid: int, seconds: float) -> float:
    """Of one core, from now on for so many seconds."""
    before = seconds_of(pid)
    time.sleep(seconds)
    return 100 * (seconds_of(pid) - before) / seconds


def wait(look: Callable[[], bool], every: float = 1.0) -> None:
    """Until `look` is true; pages of metrics cost their process something, so it is asked seldom.

    Raises:
        TimeoutError: after half an hour.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not look():
        if time.monotonic() > end:
            raise TimeoutError("the sessions did not come to their ends")
        time.sleep(every)
