"""A played kubelet: pods become what a test says, and those that are deleted end, as if there were a node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Self

from tests.cluster.pod_states import Json, PodState, ended
from tests.cluster.rest import STRATEGIC_PATCH, Rest, RestError

Script = Callable[[Json], Iterable[PodState]]

_KILLED = ended(143)
_RETRY_SECONDS = 0.2
_PLAYED_AT_ONCE, _ASKED_AT_ONCE = 256, 8
_CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "10000", "nvidia.com/gpu": "8"}


class Kubelet:
    """One node, and what happens to the pods of one namespace on it.

    While it runs, a deleted pod of its node ends within milliseconds, as one whose process obeys SIGTERM.
    A pod that no scheduler gave to a node is bound to this one once a state is played that needs a node.

    Args:
        rest: requests of a cluster's administrator.
        script: states that each new pod goes through by itself; without one, `play` does it. It may be a
            generator that sleeps: each pod has a thread of its own, up to 256 of them.
    """

    def __init__(self, rest: Rest, namespace: str, script: Script | None = None) -> None:
        self.node = f"node-of-{namespace}"
        self._rest, self._namespace, self._script = rest, namespace, script
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._played: set[str] = set()
        self._stopping = threading.Event()
        self._end_watch: Callable[[], None] = lambda: None
        # More requests at once than this only queue at the API server.
        self._turns = threading.BoundedSemaphore(_ASKED_AT_ONCE)
        self._players = ThreadPoolExecutor(_PLAYED_AT_ONCE, self.node)
        self._thread = threading.Thread(target=self._follow, name=self.node, daemon=True)

    def __enter__(self) -> Self:
        self._register()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """From here on pods stay as they are, also those that are deleted. May be called again."""
        self._stopping.set()
        while self._thread.is_alive():
            self._end_watch()
            self._thread.join(0.1)
        self._players.shutdown(cancel_futures=True)

    def play(self, pod: str, *states: PodState) -> None:
        """Puts the pod of this name through states, one after the other."""
        found = self._rest.get(f"{self._pods}/{pod}")
        for state in states:
            found = self._put(found, state)

    def pod(self, labels: str = "", *, seconds: float = 20) -> str:
        """Name of a pod that is neither ended nor deleted; waits for one.

        Args:
            labels: a selector such as "job-name=hello".

        Raises:
            TimeoutError: none came.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for pod in self._rest.get(self._pods, labelSelector=labels)["items"]:
                if not _is_over(pod) and "deletionTimestamp" not in pod["metadata"]:
                    return str(pod["metadata"]["name"])
            time.sleep(0.05)
        raise TimeoutError(f"no pod {labels} in {self._namespace} within {seconds} s")

    def _register(self) -> None:
        node = {"metadata": {"name": self.node, "labels": {"kubernetes.io/hostname": self.node}}}
        self._rest.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", **node})
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": _now()}
        status = {"conditions": [ready], "capacity": _CAPACITY, "allocatable": _CAPACITY}
        self._rest.patch(f"/api/v1/nodes/{self.node}/status", {"status": status}, STRATEGIC_PATCH)
        # Every new node is born with the taint not-ready; the controller that lifts it may not be running.
        self._rest.patch(f"/api/v1/nodes/{self.node}", {"spec": {"taints": None}})

    def _put(self, pod: Json, state: PodState) -> Json:
        """The pod as it is then."""
        path = f"{self._pods}/{pod['metadata']['name']}"
        if state.needs_node and not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
            metadata = {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
            self._rest.post(f"{path}/binding", binding)
        return self._rest.patch(f"{path}/status", {"status": state.status(pod, _now())}, STRATEGIC_PATCH)

    def _follow(self) -> None:
        """Watches until stopped; after a break from what there is now."""
        while not self._stopping.is_set():
            with suppress(RestError), self._rest.watch(self._pods) as (events, self._end_watch):
                for event in events:
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self._see(event["object"])
            self._stopping.wait(_RETRY_SECONDS)

    def _see(self, pod: Json) -> None:
        with suppress(RestError):  # the pod may be gone or changed; a next event tells
            if "deletionTimestamp" in pod["metadata"]:
                self._finish(pod)
            elif self._script and pod["metadata"]["uid"] not in self._played:
                self._played.add(pod["metadata"]["uid"])
                self._players.submit(self._perform, pod, self._script)

    def _perform(self, pod: Json, script: Script) -> None:
        """Plays a script to its end, or to the pod's."""
        for state in script(pod):
            while not self._stopping.is_set():
                try:
                    with self._turns:
                        pod = self._put(pod, state)
                    break
                except RestError as error:
                    if error.code == HTTPStatus.NOT_FOUND:
                        return
                # The API server is away, or what was asked was done and the answer lost.
                self._stopping.wait(_RETRY_SECONDS)
                with suppress(RestError):
                    pod = self._rest.get(f"{self._pods}/{pod['metadata']['name']}")

    def _finish(self, pod: Json) -> None:
        """What a kubelet does with a deleted pod: ends its containers, says so, then lets it go."""
        if pod["spec"].get("nodeName") != self.node:
            return
        if not _is_over(pod):
            self._put(pod, _KILLED)
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        self._rest.delete(f"{self._pods}/{pod['metadata']['name']}", options)


def _is_over(pod: Json) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
