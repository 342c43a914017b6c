"""What processes use, second by second."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.cluster import Cluster
from tests.cluster.operators import Replica

TICKS = os.sysconf("SC_CLK_TCK")
FINISHED = 'avatar_sessions_finished_total{reason="Succeeded"}'


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment.

    Attributes:
        at: Unix seconds.
        cpu: seconds used so far, by process; "load" is this one, with the played pods.
        finished: sessions that the operator led to success.
        queued: keys that wait in the operator.
    """

    at: float
    cpu: dict[str, float]
    finished: int
    queued: int


class Meters:
    """Takes a Sample every two seconds while its block runs; one page of metrics each.

    Args:
        cluster: whose servers count.
        operator: the replica that works.
    """

    EVERY = 2.0

    def __init__(self, cluster: Cluster, operator: Replica) -> None:
        self._pids = {**cluster.pids(), "operator": operator.process.pid, "load": os.getpid()}
        self._operator, self._stopping = operator, threading.Event()
        self.samples: list[Sample] = []
        self._thread = threading.Thread(target=self._watch, name="meters")

    def __enter__(self) -> Self:
        self.samples.append(self._sample())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self.samples.append(self._sample())

    @property
    def finished(self) -> int:
        """As of the last Sample."""
        return self.samples[-1].finished

    def _watch(self) -> None:
        while not self._stopping.wait(self.EVERY):
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        page = dict(
            line.rsplit(" ", 1)
            for line in self._operator.probe("/metrics")[1].splitlines()
            if line.startswith((FINISHED, "avatar_operator_queued_keys"))
        )
        finished, queued = page.get(FINISHED, 0), page.get("avatar_operator_queued_keys", 0)
        cpu = {name: seconds_of(pid) for name, pid in self._pids.items()}
        return Sample(time.time(), cpu, int(float(finished)), int(float(queued)))


def seconds_of(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_of(pid: int) -> dict[str, int]:
    """Resident memory of a process, MB: now, and at its highest."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {key: int(status[name].split()[0]) // 1024 for key, name in (("now", "VmRSS"), ("peak", "VmHWM"))}
