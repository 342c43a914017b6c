"""How fast and how thrifty the operator is, on a real API server with played pods.

`python -m benchmarks.operator --sessions 300 --rate 10`: sessions come at a rate (0: all at once), each pod
runs at once and ends with its result in its termination message. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import urllib3
from tests.cluster import RUNNING, Cluster, RestError, ended, eventually
from tests.cluster.operators import CRDS, SESSIONS, Replica, World, a_world

TICKS = 100
"""Of the kernel's clock in a second (man 5 proc)."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=300)
    parser.add_argument("--rate", type=float, default=10, help="sessions a second; 0: all at once")
    parser.add_argument(
        "--finished", type=int, default=0, help="add so many finished ones before the restart"
    )
    arguments = parser.parse_args()
    flags = {"kube-controller-manager": ["--kube-api-qps=500", "--kube-api-burst=1000"]}
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster.start(controllers=True, manifests=[CRDS], flags=flags) as cluster,
        a_world(cluster, Path(folder)) as world,
    ):
        found = measure(world, arguments.sessions, arguments.rate)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(partial(finish, world), range(arguments.finished)))
        print(json.dumps(found | restarted(world), indent=1))


def measure(world: World, count: int, rate: float) -> dict[str, Any]:
    """Leads `count` sessions to their ends."""
    operator = world.start(sessionsInNamespace=50)
    eventually(operator.leads)
    cpu, begin = seconds_of(operator), time.monotonic()
    applied: dict[str, float] = {}
    with (
        world.cluster.kubelet(world.namespace, played),
        jobs_seen(world) as seen,
    ):
        for number in range(count):
            name = f"s{number:05}"
            world.apply(name, videoTTLSeconds=86400)
            applied[name] = time.monotonic()
            if rate:
                time.sleep(max(0, begin + (number + 1) / rate - time.monotonic()))
        wanted = 'avatar_sessions_finished_total{reason="Succeeded"}'
        eventually(lambda: operator.metric(wanted) >= count, seconds=600)
    took, used = time.monotonic() - begin, seconds_of(operator) - cpu
    waits = [max(0, seen[name] - at) for name, at in applied.items()]
    memory = rss_of(operator)
    operator.end()
    return {
        "sessions": count,
        "rate": rate,
        "seconds": round(took, 1),
        "job_after_seconds": {
            "p50": round(statistics.median(waits), 3),
            "p99": round(sorted(waits)[int(len(waits) * 0.99) - 1], 3),
            "max": round(max(waits), 3),
        },
        "operator_cpu_ms_a_session": round(1000 * used / count, 1),
        "rss_mb": memory,
    }


def restarted(world: World) -> dict[str, Any]:
    """A start with everything finished: until every session was looked at, and how idle it is then."""
    begin = time.monotonic()
    operator = world.start()
    eventually(operator.leads)
    looks, count = "avatar_operator_reconcile_seconds_count", len(world.names())
    eventually(lambda: operator.metric(looks) >= count, seconds=120)
    ready = time.monotonic() - begin
    time.sleep(5)
    cpu = seconds_of(operator)
    time.sleep(10)
    return {
        "restart_ready_seconds": round(ready, 1),
        "idle_cpu_percent": round(10 * (seconds_of(operator) - cpu), 2),
        "restart_rss_mb": rss_of(operator),
    }


def finish(world: World, number: int) -> None:
    """A session that ended a while ago and whose video is still there."""
    name, now = f"f{number:05}", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.apply(name, videoTTLSeconds=86400)
    path = f"{SESSIONS.format(world.namespace)}/{name}"
    kinds = (("Succeeded", "Succeeded"), ("VideoAvailable", "Published"))
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "message": "m" * 80, "lastTransitionTime": now}
        for kind, reason in kinds
    ]
    status = {
        "phase": "Succeeded",
        "conditions": [{**condition, "observedGeneration": 1} for condition in conditions],
        "observedGeneration": 1,
        "stage": "publish",
        "attempt": 1,
        "completedAt": now,
        "reply": "r" * 300,
    }
    world.cluster.rest.patch(path, {"metadata": {"finalizers": ["avatars.dev/store"]}})
    world.cluster.rest.patch(f"{path}/status", {"status": status})


def played(pod: dict[str, Any]) -> Sequence[Any]:
    """States of a pod that runs and ends with a result."""
    labels = pod["metadata"]["labels"]
    receipt = {
        "uid": labels["avatars.dev/session-uid"],
        "reply": "Hello.",
        "video": {"bytes": 1, "sha256": "ab" * 32, "seconds": 1, "frames": 15},
    }
    return RUNNING, ended(0, json.dumps({"result": receipt}))


@contextmanager
def jobs_seen(world: World) -> Iterator[dict[str, float]]:
    """When the Job of each session was first seen, by the session's name; monotonic seconds."""
    seen: dict[str, float] = {}
    path = f"/apis/batch/v1/namespaces/{world.namespace}/jobs"

    def follow(events: Iterator[dict[str, Any]]) -> None:
        with suppress(RestError, urllib3.exceptions.HTTPError):
            for event in events:
                name = event["object"]["metadata"].get("labels", {}).get("avatars.dev/session")
                seen.setdefault(name, time.monotonic())

    with world.cluster.rest.watch(path) as (events, end):
        thread = threading.Thread(target=follow, args=(events,))
        thread.start()
        try:
            yield seen
        finally:
            end()
            thread.join()


def seconds_of(operator: Replica) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_of(operator: Replica) -> int:
    """Memory of a process, MB."""
    status = Path(f"/proc/{operator.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    main()
