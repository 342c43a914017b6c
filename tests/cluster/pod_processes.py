"""A kubelet that runs pods: each pod's real command is a local process, told of and ended as on a node."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.kubelet import Kubelet
from tests.cluster.pod_files import ConfigError, Container, PodFiles, exit_code, last_words
from tests.cluster.pod_states import RUNNING, Json, ended, waiting
from tests.cluster.rest import RestError

_CONFIG_SECONDS = 0.5
"""Until a container that could not be configured is looked at again."""


@dataclass
class RunningPod:
    """A pod of this node; `session` is the name of the session it says it works for."""

    name: str
    session: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    deleted: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    grace: float = 30

    @property
    def log(self) -> str:
        """What its process wrote so far."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signals its process; with SIGKILL all that is in the container."""
        if self.over.is_set():  # its number may be another process's by now
            return
        with suppress(ProcessLookupError):
            if self.process and number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            elif self.process:
                self.process.send_signal(number)


class PodProcesses(Kubelet):
    """One node for the pods of one namespace; all their processes end with it.

    Args:
        cluster: whose pods they are.
        namespace: of the pods.
        folder: for the files of all pods; each has its own below, by the pod's name.
    """

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        super().__init__(cluster.rest, namespace)
        self._cluster, self._folder = cluster, folder
        self._threads: list[threading.Thread] = []
        self.running: dict[str, RunningPod] = {}
        self.overrides: Mapping[str, str] = {}

    def stop(self) -> None:
        """Ends every process at once. May be called again."""
        super().stop()
        for pod in self.running.values():
            pod.deleted.set()
            pod.kill()
        for thread in self._threads:
            thread.join(10)

    def pods_of(self, session: str) -> list[RunningPod]:
        """Of a session, in the order in which they came."""
        return [pod for pod in list(self.running.values()) if pod.session == session]

    def _see(self, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        mine = self.running.get(uid)
        deleted = "deletionTimestamp" in pod["metadata"]
        if mine is None and not deleted and pod["spec"].get("nodeName") in {None, self.node}:
            name = pod["metadata"]["name"]
            session = pod["metadata"].get("labels", {}).get("avatars.dev/session", "")
            mine = self.running[uid] = RunningPod(name, session, self._folder / name)
            mine.folder.mkdir(parents=True)
            thread = threading.Thread(target=self._live, args=(pod, mine), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        elif deleted and mine and not mine.deleted.is_set():
            mine.grace = float(pod["metadata"].get("deletionGracePeriodSeconds", 30))
            mine.deleted.set()
            mine.kill(signal.SIGTERM)
            threading.Thread(target=self._end, args=(pod, mine), daemon=True).start()

    def _live(self, pod: Json, mine: RunningPod) -> None:
        """The life of one pod, from its binding to what its process left."""
        try:
            container = self._configured(pod, mine)
            if container is not None and not mine.deleted.is_set():
                self._run(pod, mine, container)
        except RestError as error:  # the pod, or the whole cluster, is gone
            (mine.folder / "lost").write_text(str(error))
        finally:
            mine.over.set()

    def _configured(self, pod: Json, mine: RunningPod) -> Container | None:
        """The container; None when the pod was deleted while something of it was missing."""
        told = ""
        while not mine.deleted.is_set():
            try:
                return PodFiles(self._cluster, pod, mine.folder, dict(self.overrides)).container()
            except ConfigError as error:
                if str(error) != told:
                    told = str(error)
                    self._put(self._now(pod), waiting("CreateContainerConfigError", told))
                mine.deleted.wait(_CONFIG_SECONDS)
        return None

    def _run(self, pod: Json, mine: RunningPod, container: Container) -> None:
        with (mine.folder / "log").open("wb") as log:
            mine.process = subprocess.Popen(
                container.command,
                env=container.environment,
                cwd=mine.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._put(self._now(pod), RUNNING)
            code = exit_code(mine.process.wait())
        finally:
            mine.kill()  # what its first process leaves behind ends with it
            mine.process.wait()
        self._put(self._now(pod), ended(code, last_words(container.message)))

    def _end(self, pod: Json, mine: RunningPod) -> None:
        """A deleted pod: killed after its grace, told of, let go."""
        if not mine.over.wait(mine.grace):
            mine.kill()
        mine.over.wait(10)
        with suppress(RestError):
            super()._finish(self._now(pod))

    def _now(self, pod: Json) -> Json:
        return self._rest.get(f"{self._pods}/{pod['metadata']['name']}")


def survivors(folder: Path) -> list[int]:
    """Processes that work in a folder."""
    time.sleep(0.1)
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if path.readlink().is_relative_to(folder):
                found.append(int(path.parent.name))
    return found
