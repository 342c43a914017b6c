"""Pods of others: they come, change and go all the time, and are none of the operator's business."""

from __future__ import annotations

import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self

from tests.cluster import Cluster, RestError

from avatar_operator.names import MANAGED_BY, OPERATOR, SESSION_UID

NAMESPACES, AT_ONCE = 4, 8
CLAIMED = 4
"""One pod in so many carries the operator's label, and so comes through its watch; half of those name a
session that there is not."""


class ForeignPods:
    """Keeps `count` pods in namespaces of their own, and makes `rate` writes a second: of ten, six change a
    pod's annotation, two delete one, two make one.

    They are bound to no node, so nothing but the API server, and who watches, has work with them.
    """

    def __init__(self, cluster: Cluster, count: int, rate: float) -> None:
        self._rest, self._count, self._rate = cluster.rest, count, rate
        self._namespaces = [cluster.create_namespace("foreign") for _ in range(NAMESPACES if count else 0)]
        self._dice, self._pods, self.writes = random.Random(5), list[str](), 0  # noqa: S311
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._churn, name="foreign pods")

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self._pods = list(pool.map(self._make, range(self._count)))
        if self._count and self._rate:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _churn(self) -> None:
        begin = time.monotonic()
        while not self._stopping.wait(max(0, begin + self.writes / self._rate - time.monotonic())):
            with suppress(RestError):
                self._write(self.writes)
            self.writes += 1

    def _write(self, number: int) -> None:
        chosen = self._dice.randrange(len(self._pods))
        match number % 10:
            case 0 | 5:
                path = self._pods.pop(chosen)
                self._rest.delete(path, {"gracePeriodSeconds": 0})
            case 1 | 6:
                self._pods.append(self._make(number))
            case _:
                self._rest.patch(self._pods[chosen], {"metadata": {"annotations": {"seen": str(number)}}})

    def _make(self, number: int) -> str:
        """Its path."""
        labels = {"app": "foreign"}
        if number % CLAIMED == 0:
            labels[MANAGED_BY] = OPERATOR
        if number % (2 * CLAIMED) == 0:
            labels[SESSION_UID] = secrets.token_hex(16)
        name = f"foreign-{secrets.token_hex(6)}"
        pod: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "main", "image": "example.invalid/absent:1"}]},
        }
        path = f"/api/v1/namespaces/{self._namespaces[number % NAMESPACES]}/pods"
        self._rest.post(path, pod)
        return f"{path}/{name}"
