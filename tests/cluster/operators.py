"""Real operator processes on a test's cluster, with the rights of the operator's role and no more."""

from __future__ import annotations

import json
import re
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.cluster import Cluster
from tests.cluster.forking import Forked
from tests.cluster.link import Link
from tests.cluster.patience import eventually
from tests.cluster.rest import RestError
from tests.cluster.versions import ROOT, environment_of, known_to

Json = dict[str, Any]
CHART = ROOT / "charts/avatar-operator"
CRDS, RBAC = CHART / "files/crds", CHART / "files/rbac/operator.yaml"
AUDIENCE = "operator.avatars.dev"
RESOURCES = "/apis/avatars.dev/v1alpha1/namespaces/{}"
SESSIONS = RESOURCES + "/avatarsessions"
SHA = "ab" * 32
GAUGES = {"avatars": "avatar_avatars", "avatarproviders": "avatar_providers"}
"""Metrics that count resources by their Ready condition."""


def binding(kind: str, role: str, user: str, namespace: str = "") -> Json:
    """Gives a user a ClusterRole, everywhere or in one namespace."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": f"{user}-{role}", **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


def _launched(config: Path, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "avatar_operator", "--config", str(config)]
    with log.open("wb") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)


Launch = Callable[[Path, Mapping[str, str], Path], subprocess.Popen[bytes] | Forked]
"""Makes an operator's process, given its configuration, environment and log."""


@dataclass
class Replica:
    """One operator process."""

    process: subprocess.Popen[bytes] | Forked
    reports_port: int
    probes_port: int
    log: Path

    @property
    def logs(self) -> list[Json]:
        """Its log, one object a line."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    @property
    def errors(self) -> list[Json]:
        """What it could not explain; not that on a busy machine the end finds a generator of kopf's open."""
        explained = [
            entry
            for entry in self.logs
            if "exception" in entry and "closing of asynchronous generator" not in entry["message"]
        ]
        lines = self.log.read_text().splitlines()
        return explained + [{"message": line} for line in lines if line.startswith("Traceback")]

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
        """The value of one metric, labels included in `name`; 0 while it has no such labels.

        Raises:
            AssertionError: there are no metrics, or none of that name.
        """
        text = self.metrics_text()
        family = re.sub(r"(_count|_sum|_total)?({.*)?$", "", name)
        assert re.search(rf"^# TYPE {family}(_total)? ", text, re.MULTILINE), f"no metric {family}"
        found = [float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} ")]
        return found[0] if found else 0

    def metrics_text(self) -> str:
        """All of /metrics, which must answer."""
        status, text = self.probe("/metrics")
        assert status == 200, f"/metrics says {status}"
        return text

    def metrics(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by its one label."""
        found = re.findall(rf'^{name}{{{label}="([^"]*)"}} (\S+)$', self.metrics_text(), re.MULTILINE)
        return {value: float(number) for value, number in found}

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
        """Whether it says so; one that is starting, frozen or dead does not."""
        return "\navatar_operator_leader 1.0\n" in self.probe("/metrics")[1]

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
    others: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, cluster: Cluster, folder: Path) -> World:
        user = f"operator-{secrets.token_hex(4)}"
        world = cls(cluster, folder, cluster.create_namespace(), cluster.create_namespace("release"), user)
        cluster.apply(RBAC)
        world.bind("ClusterRoleBinding", "avatar-operator-cluster")
        world.bind("RoleBinding", "avatar-operator-lease", world.release)
        world.bind("RoleBinding", "avatar-operator", world.release)
        world.prepare(world.namespace)
        (folder / "links.key").write_bytes(secrets.token_bytes(32))
        return world

    def bind(self, kind: str, role: str, namespace: str = "") -> None:
        """Gives the operator a role of the chart's."""
        within = f"/namespaces/{namespace}" if namespace else ""
        path = f"/apis/rbac.authorization.k8s.io/v1{within}/{kind.lower()}s"
        self.cluster.rest.post(path, binding(kind, role, self.user, namespace))

    def another_namespace(self, prefix: str) -> str:
        """Makes a namespace that the operator may serve too; it goes with the world."""
        name = self.cluster.create_namespace(prefix)
        self.others.append(name)
        self.prepare(name)
        return name

    def prepare(self, namespace: str) -> None:
        """Gives a new namespace what sessions need, and the operator its rights there."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "avatar-session"}}
        self.cluster.rest.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
        self.bind("RoleBinding", "avatar-operator", namespace)

    def start(
        self,
        *,
        link: Link | None = None,
        tree: Path = ROOT,
        launch: Launch = _launched,
        wait: bool = True,
        **changes: Any,
    ) -> Replica:
        """Starts another replica.

        Args:
            link: its way to the API server.
            tree: of the source that it runs from; its configuration has the fields that this version knows.
            launch: makes the process; `Forked` does it in a tenth of the time.
            wait: until it is ready.
            changes: to its configuration.
        """
        assert tree == ROOT or launch is not Forked, "what is forked has read the modules of this tree"
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
                **changes.pop("sessions", {}),
            },
            "cleanup": {"image": "example.invalid/session:1"},
            "lease": {"duration": 15, "deadline": 10, "period": 1},
            "host": "127.0.0.1",
            "reportsPort": reports,
            "probesPort": probes,
            "address": f"http://127.0.0.1:{reports}",
            **changes,
        }
        path, log = self.folder / f"config-{number}.yaml", self.folder / f"operator-{number}.log"
        path.write_text(yaml.safe_dump(config if tree == ROOT else known_to(tree, config)))
        kubeconfig = self.cluster.kubeconfig(self.user, link=link)
        environment = {**environment_of(tree), "KUBECONFIG": str(kubeconfig), "OMP_NUM_THREADS": "1"}
        log.touch()
        replica = Replica(launch(path, environment, log), reports, probes, log)
        self.replicas.append(replica)
        if wait:
            eventually(replica.ready, seconds=30)
        return replica

    def stop(self) -> None:
        """Ends all replicas and forgets the sessions."""
        for replica in self.replicas:
            replica.end(signal.SIGKILL)
        for name in (self.namespace, self.release, *self.others):
            for plural in ("avatarsessions", "avatars"):
                self._let_go(f"{RESOURCES.format(name)}/{plural}")
            with suppress(RestError):  # a test may have deleted it
                self.cluster.rest.delete(f"/api/v1/namespaces/{name}")

    def _let_go(self, path: str) -> None:
        """Takes the finalizers off: no operator is left to do so."""
        for item in self.cluster.rest.get(path)["items"]:
            if item["metadata"].get("finalizers"):
                self.cluster.rest.patch(
                    f"{path}/{item['metadata']['name']}", {"metadata": {"finalizers": None}}
                )

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

    def resource(self, plural: str, name: str) -> Json:
        """An Avatar or AvatarProvider; empty when there is none."""
        try:
            return self.cluster.rest.get(f"{RESOURCES.format(self.namespace)}/{plural}/{name}")
        except RestError as error:
            if error.code != 404:
                raise
            return {}

    def apply_resource(self, kind: str, name: str, **spec: Any) -> Json:
        """Makes an Avatar or AvatarProvider, or gives it another spec."""
        document = {
            "apiVersion": "avatars.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        path = f"{RESOURCES.format(self.namespace)}/{kind.lower()}s"
        if not (there := self.resource(f"{kind.lower()}s", name)):
            return self.cluster.rest.post(path, document)
        dropped = dict.fromkeys(there["spec"])
        return self.cluster.rest.patch(f"{path}/{name}", {"spec": {**dropped, **spec}})

    def ready(self, plural: str, name: str) -> tuple[str, str]:
        """Status and reason of a Ready condition that speaks of the spec as it is; ("", "") before."""
        there = self.resource(plural, name)
        generation = there.get("metadata", {}).get("generation")
        found = [
            condition
            for condition in there.get("status", {}).get("conditions", ())
            if condition["type"] == "Ready" and condition["observedGeneration"] == generation
        ]
        return (found[0]["status"], found[0]["reason"]) if found else ("", "")

    def until_ready(
        self, plural: str, name: str, truth: str, reason: str, seconds: float = 20
    ) -> dict[str, Any]:
        """Waits for a Ready condition, and until a metric counts it; returns the status."""
        assert eventually(lambda: _same(self.ready(plural, name), (truth, reason)), seconds=seconds)
        counted = f'{GAUGES[plural]}{{ready="{truth}",reason="{reason}"}}'
        assert eventually(lambda: self.replicas[-1].metric(counted) >= 1), counted
        return dict(self.resource(plural, name)["status"])

    def listed(self) -> dict[str, Json]:
        """All sessions, by name."""
        listed = self.cluster.rest.get(SESSIONS.format(self.namespace))["items"]
        return {item["metadata"]["name"]: item for item in listed}

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
