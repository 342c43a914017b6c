"""The command as a process, against a real API server whose sessions' statuses are written by the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster import Cluster
from tests.cluster.operators import CRDS, SESSIONS
from tests.support.stand_in_gateway import StandInGateway

Json = dict[str, Any]
SECONDS = 60


def now(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, reason: str, message: str = "") -> Json:
    said = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**said, "lastTransitionTime": now()}


def running(stage: str, percent: int, done: float, total: float | None = None, **more: Any) -> Json:
    progress = {"done": done, "percent": percent, **({"total": total} if total else {})}
    return {
        "phase": "Running",
        "attempt": 1,
        "stage": stage,
        "progress": progress,
        "conditions": [condition("Succeeded", "Unknown", "Running", "attempt 1 is running")],
        **more,
    }


def failed(reason: str, message: str, **more: Any) -> Json:
    conditions = [
        condition("Succeeded", "False", reason, message),
        condition("VideoAvailable", "False", "NotMade", "the session made no video"),
    ]
    return {"phase": "Failed", "attempt": 1, "conditions": conditions, **more}


def made(url: str, size: int = 12345, sha256: str = "ab" * 32, **more: Any) -> Json:
    return {
        "phase": "Succeeded",
        "attempt": 1,
        "stage": "publish",
        "progress": {"done": size, "total": size, "percent": 100},
        "conditions": [
            condition("Succeeded", "True", "Succeeded", "a video of 2.4 s is published"),
            condition("VideoAvailable", "True", "Published", "it can be fetched until it expires"),
        ],
        "video": {
            "url": url,
            "bytes": size,
            "sha256": sha256,
            "seconds": 2.4,
            "frames": 36,
            "fps": "15",
            "width": 512,
            "height": 512,
            "expiresAt": now(3600),
        },
        "timings": {
            "queueSeconds": 0,
            "startSeconds": 2,
            "firstFrameSeconds": 0.75,
            "totalSeconds": 1.75,
            "speech": {"begin": 0, "first": 0.1, "end": 0.5},
            "render": {"begin": 0.2, "first": 0.6, "end": 1.5},
            "publish": {"begin": 1.5, "first": 1.5, "end": 1.75},
        },
        "usage": {"characters": 6, "speechSeconds": 2.4},
        **more,
    }


@dataclass
class Running:
    """A command that goes on; what it writes is read as it comes."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._readers = [
            threading.Thread(target=lambda s=stream, k=kept: k.extend(s), daemon=True)
            for stream, kept in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def said(self) -> str:
        return "".join([*self.err, *self.out])

    def until(self, words: str) -> None:
        """Waits until it has said so."""
        end = time.monotonic() + SECONDS
        while words not in self.said:
            assert self.process.poll() is None or words in self.said, f"ended: {self.said}"
            assert time.monotonic() < end, self.said
            time.sleep(0.05)

    def end(self, number: int = 0) -> int:
        """Waits for its end, after a signal if one is given; returns its exit code."""
        if number:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        for reader in self._readers:
            reader.join(5)
        return code


@dataclass
class Place:
    """A namespace with sessions, and a person who asks about them."""

    cluster: Cluster
    namespace: str
    folder: Path
    started: list[Running] = field(default_factory=list)

    def apply(self, name: str = "hello", status: Json | None = None, **spec: Any) -> Json:
        """Makes a session, with a status as an operator would have written it."""
        document = {
            "apiVersion": "avatars.dev/v1alpha1",
            "kind": "AvatarSession",
            "metadata": {"name": name},
            "spec": {"text": "Hello.", **spec},
        }
        there = self.cluster.rest.post(SESSIONS.format(self.namespace), document)
        if status is not None:
            self.write(status, name)
        return there

    def write(self, status: Json, name: str = "hello") -> None:
        """Replaces the status."""
        there = self.session(name)
        self.cluster.rest.put(f"{SESSIONS.format(self.namespace)}/{name}/status", {**there, "status": status})

    def session(self, name: str = "hello") -> Json:
        return self.cluster.rest.get(f"{SESSIONS.format(self.namespace)}/{name}")

    def delete(self, name: str = "hello") -> None:
        self.cluster.rest.delete(f"{SESSIONS.format(self.namespace)}/{name}")

    def config(self, source: Path | None = None) -> Path:
        """A kubeconfig whose context has this namespace."""
        document = yaml.safe_load((source or self.cluster.kubeconfig()).read_text())
        document["contexts"][0]["context"]["namespace"] = self.namespace
        path = self.folder / f"config-{len(list(self.folder.glob('config-*')))}"
        path.write_text(yaml.safe_dump(document))
        return path

    def start(self, *arguments: str, config: Path | None = None, **environment: str) -> Running:
        """Starts the command; what it has not been told comes from $KUBECONFIG."""
        wanted = {
            **{key: value for key, value in os.environ.items() if not key.startswith("KUBE")},
            "KUBECONFIG": str(config or self.config()),
            "COLUMNS": "80",
            "TZ": "UTC",
            **environment,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "avatar_cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.folder,
            env=wanted,
        )
        self.started.append(Running(process))
        return self.started[-1]

    def run(self, *arguments: str, config: Path | None = None, **environment: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command that ends by itself."""
        command = self.start(*arguments, config=config, **environment)
        return command.end(), "".join(command.out), "".join(command.err)

    def json(self, *arguments: str) -> Json:
        """The one object that a command prints."""
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err + out
        found: Json = json.loads(out)
        return found


@pytest.fixture(scope="module")
def api(cluster_tools: None) -> Iterator[Cluster]:
    with Cluster.start(manifests=[CRDS]) as running:
        yield running


@pytest.fixture
def place(api: Cluster, tmp_path: Path) -> Iterator[Place]:
    made = Place(api, api.create_namespace(), tmp_path)
    yield made
    for command in made.started:
        if command.process.poll() is None:
            command.end(signal.SIGKILL)


@pytest.fixture
def gateway() -> Iterator[StandInGateway]:
    with StandInGateway() as serving:
        yield serving
