"""Real operator processes on a test's cluster, with the rights of the operator's role and no more."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.cluster import Cluster
from tests.cluster.link import Link
from tests.cluster.patience import eventually
from tests.cluster.rest import RestError

Json = dict[str, Any]
CHART = Path(__file__).parents[2] / "charts/avatar-operator"
CRDS, RBAC = CHART / "crds", CHART / "rbac/operator.yaml"
AUDIENCE = "operator.avatars.dev"
SESSIONS = "/apis/avatars.dev/v1alpha1/namespaces/{}/avatarsessions"
SHA = "ab" * 32


def binding(kind: str, role: str, user: str, namespace: str = "") -> Json:
    """Gives a user a ClusterRole, everywhere or in one namespace."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": f"{user}-{role}", **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


@dataclass
class Replica:
    """One operator process."""

    process: subprocess.Popen[bytes]
    reports_port: int
    probes_port: int
    log: Path

    @property
    def logs(self) -> list[Json]:
        """Its log, one object a line."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    @property
    def errors(self) -> list[Json]:
        """What it could not explain."""
        return [entry for entry in self.logs if "exception" in entry]

    def probe(self, path: str) -> tuple[int, str]:
        """Status and body of /healthz, /readyz or /metrics; 0 while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.probes_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The value of one metric, labels included in `name`; 0 without."""
        lines = self.probe("/metrics")[1].splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0)

    def post(self, path: str, token: str, document: Any) -> tuple[int, str]:
        """Posts as a pod does."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.reports_port}/v1/{path}",
            data=document if isinstance(document, bytes) else json.dumps(document).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return self.probe("/readyz")[0] == 200

    def leads(self) -> bool:
        return self.metric("avatar_operator_leader") == 1

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it and returns its exit code. May be called again."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        try:
            return self.process.wait(25)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end: {self.log.read_text()[-3000:]}") from None


@dataclass
class World:
    """A cluster with the custom resources, a namespace for sessions and one for the operator."""

    cluster: Cluster
    folder: Path
    namespace: str
    release: str
    user: str
    replicas: list[Replica] = field(default_factory=list)

    @classmethod
    def make(cls, cluster: Cluster, folder: Path) -> World:
        user = f"operator-{secrets.token_hex(4)}"
        world = cls(cluster, folder, cluster.create_namespace(), cluster.create_namespace("release"), user)
        cluster.apply(RBAC)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "avatar-session"}}
        cluster.rest.post(f"/api/v1/namespaces/{world.namespace}/serviceaccounts", account)
        world.bind("ClusterRoleBinding", "avatar-operator-cluster")
        world.bind("RoleBinding", "avatar-operator-lease", world.release)
        for name in (world.namespace, world.release):
            world.bind("RoleBinding", "avatar-operator", name)
        (folder / "links.key").write_bytes(secrets.token_bytes(32))
        return world

    def bind(self, kind: str, role: str, namespace: str = "") -> None:
        """Gives the operator a role of the chart's."""
        within = f"/namespaces/{namespace}" if namespace else ""
        path = f"/apis/rbac.authorization.k8s.io/v1{within}/{kind.lower()}s"
        self.cluster.rest.post(path, binding(kind, role, self.user, namespace))

    def start(self, *, link: Link | None = None, **changes: Any) -> Replica:
        """Starts another replica; `changes` to its configuration."""
        number, reports, probes = len(self.replicas), free_port(), free_port()
        config = {
            "namespace": self.release,
            "namespaces": [self.namespace, self.release],
            "links": {"base": "https://videos.example", "keyFile": str(self.folder / "links.key")},
            "sessions": {
                "image": "example.invalid/session:1",
                "operatorUrl": f"http://127.0.0.1:{reports}",
                "gatewayUrl": "http://127.0.0.1:1",
                "inferenceAddress": "127.0.0.1:1",
            },
            "cleanup": {"image": "example.invalid/session:1"},
            "lease": {"duration": 3, "deadline": 2, "period": 0.4},
            "host": "127.0.0.1",
            "reportsPort": reports,
            "probesPort": probes,
            "address": f"http://127.0.0.1:{reports}",
            **changes,
        }
        path, log = self.folder / f"config-{number}.yaml", self.folder / f"operator-{number}.log"
        path.write_text(yaml.safe_dump(config))
        kubeconfig = self.cluster.kubeconfig(self.user, link=link)
        command = [sys.executable, "-m", "avatar_operator", "--config", str(path)]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "OMP_NUM_THREADS": "1"}
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
        replica = Replica(process, reports, probes, log)
        self.replicas.append(replica)
        eventually(replica.ready, seconds=30)
        return replica

    def stop(self) -> None:
        """Ends all replicas and forgets the sessions."""
        for replica in self.replicas:
            replica.end(signal.SIGKILL)
        path = SESSIONS.format(self.namespace)
        for item in self.cluster.rest.get(path)["items"]:
            if item["metadata"].get("finalizers"):
                patch = {"metadata": {"finalizers": None}}
                self.cluster.rest.patch(f"{path}/{item['metadata']['name']}", patch)
        for name in (self.namespace, self.release):
            self.cluster.rest.delete(f"/api/v1/namespaces/{name}")

    # sessions

    def apply(self, name: str = "hello", **spec: Any) -> Json:
        document = {
            "apiVersion": "avatars.dev/v1alpha1",
            "kind": "AvatarSession",
            "metadata": {"name": name},
            "spec": {"text": "Hello.", **spec} if "prompt" not in spec else spec,
        }
        return self.cluster.rest.post(SESSIONS.format(self.namespace), document)

    def change(self, name: str = "hello", **spec: Any) -> Json:
        return self.cluster.rest.patch(f"{SESSIONS.format(self.namespace)}/{name}", {"spec": spec})

    def delete(self, name: str = "hello") -> None:
        self.cluster.rest.delete(f"{SESSIONS.format(self.namespace)}/{name}")

    def names(self) -> list[str]:
        """Of all sessions."""
        listed = self.cluster.rest.get(SESSIONS.format(self.namespace))["items"]
        return [item["metadata"]["name"] for item in listed]

    def session(self, name: str = "hello") -> Json:
        """The session; empty when there is none."""
        try:
            return self.cluster.rest.get(f"{SESSIONS.format(self.namespace)}/{name}")
        except RestError as error:
            if error.code != 404:
                raise
            return {}

    def status(self, name: str = "hello") -> Json:
        return dict(self.session(name).get("status", {}))

    def condition(self, name: str = "hello", kind: str = "Succeeded") -> tuple[str, str]:
        """Status and reason of a condition; ("", "") before there is one."""
        found = [c for c in self.status(name).get("conditions", ()) if c["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else ("", "")

    def until(
        self, truth: str, reason: str, name: str = "hello", kind: str = "Succeeded", seconds: float = 20
    ) -> Json:
        """Waits for a condition and returns the session's status."""
        wanted = (truth, reason)
        assert eventually(lambda: _same(self.condition(name, kind), wanted), seconds=seconds)
        return self.status(name)

    def jobs(self, *, release: bool = False) -> list[Json]:
        namespace = self.release if release else self.namespace
        return list(self.cluster.rest.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"])

    def jobs_of(self, name: str) -> list[Json]:
        return [job for job in self.jobs() if job["metadata"]["labels"].get("avatars.dev/session") == name]

    def pods(self) -> list[Json]:
        return list(self.cluster.rest.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"])

    def token(self, pod: str, audience: str = AUDIENCE) -> str:
        return self.cluster.token(self.namespace, "avatar-session", audience=audience, pod=pod)

    def events(self, name: str = "hello") -> list[tuple[str, str]]:
        """Type and reason of the operator's Events about a session, in order."""
        found = self.cluster.rest.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")["items"]
        mine = [e for e in found if e["regarding"]["name"] == name and e["reportingController"]]
        return [(e["type"], e["reason"]) for e in sorted(mine, key=lambda e: e["eventTime"])]

    def receipt(self, name: str = "hello", **changes: Any) -> Json:
        """What a pod of the session posts as its result."""
        return {
            "name": name,
            "namespace": self.namespace,
            "uid": self.session(name)["metadata"]["uid"],
            "attempt": 1,
            "reply": "Hello.",
            "replyCut": False,
            "video": {
                "key": "anything/video.mp4",
                "bytes": 12345,
                "sha256": SHA,
                "seconds": 2.4,
                "frames": 36,
                "fps": "15",
                "width": 512,
                "height": 512,
                "expiresAt": "2026-01-01T00:00:00Z",
            },
            "usage": {"characters": 6, "speechSeconds": 2.4},
            "timings": {
                "speech": {"begin": 0, "first": 0.1, "end": 0.5},
                "render": {"begin": 0.2, "first": 0.6, "end": 1.5},
                "publish": {"begin": 1.5, "first": 1.5, "end": 1.75},
            },
            "firstFrameSeconds": 0.75,
            "totalSeconds": 1.75,
            "engine": "preview",
            "avatar": "ava",
            "renderId": "r-1",
            "notes": ["drawn preview, not a trained face model"],
            **changes,
        }


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def a_world(cluster: Cluster, folder: Path) -> Iterator[World]:
    """A world that leaves nothing behind."""
    world = World.make(cluster, folder)
    try:
        yield world
    finally:
        world.stop()


@dataclass(frozen=True)
class _Other:
    """Not what was waited for; shown when the wait is in vain."""

    found: tuple[str, str]

    def __bool__(self) -> bool:
        return False


def _same(found: tuple[str, str], wanted: tuple[str, str]) -> bool | _Other:
    return True if found == wanted else _Other(found)
