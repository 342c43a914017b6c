"""The chart, installed; and what a person does with it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.cluster.patience import eventually
from tests.e2e.commands import Json, Shell

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/avatar-operator"
RELEASE, NAMESPACE = "avatar-operator", "avatars"
GATEWAY = f"{RELEASE}-gateway"


@dataclass
class Installation:
    """A release of the chart in a cluster.

    Attributes:
        shell: of an administrator.
        values: with what it is installed; None: it is not.
        seconds: how long it took until all was ready.
        namespaces: made here for sessions.
    """

    shell: Shell
    values: tuple[str, ...] | None = None
    seconds: float = 0
    namespaces: list[str] = field(default_factory=list)

    def become(self, *values: str) -> None:
        """Installs the chart with these values and waits until all is ready; what else is installed goes."""
        if self.values == (str(CHART), *values):
            return
        if self.values is not None:
            self.uninstall()
        self.install(CHART, *values)

    def install(self, chart: Path, *values: str) -> None:
        """`helm install` where nothing is, waiting until all is ready."""
        began = time.monotonic()
        self._helm("install", str(chart), "--create-namespace", "--wait", *values)
        self.seconds, self.values = time.monotonic() - began, (str(chart), *values)

    def upgrade(self, *values: str) -> None:
        """`helm upgrade` to the chart of the tree, waiting until all is ready."""
        self.values = ("upgraded", *values)
        self._helm("upgrade", str(CHART), "--wait", *values)

    def uninstall(self) -> None:
        """Deletes all sessions, so that their videos go, and the release, with the volume that it leaves."""
        self.shell.kubectl("delete", "avs,av,avp", "--all", "--all-namespaces", "--timeout=120s")
        self.values = None
        self._helm("uninstall", "--wait")
        # Pods that have ended hold a volume, too; a chart from before `retire` leaves its clean-up pods.
        self.shell.kubectl("delete", "jobs", "--all", "-n", NAMESPACE, "--timeout=60s")
        self.shell.kubectl("delete", "pvc,secrets", "--all", "-n", NAMESPACE, "--timeout=60s")

    def refuse_to_share(self) -> None:
        """For clusters that are somebody's.

        Raises:
            AssertionError: ours is installed there already, and these tests delete every session.
        """
        there = self.shell.kubectl("get", "customresourcedefinitions", "-o", "name").decode()
        assert "avatars.dev" not in there, "this cluster has sessions; these tests need one that has none"

    def leave(self) -> None:
        """Takes away all that was made."""
        if self.values is not None:
            self.uninstall()
        for name in [*self.namespaces, NAMESPACE]:
            self.shell.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=120s")
        names = [f"{plural}.avatars.dev" for plural in ("avatars", "avatarproviders", "avatarsessions")]
        self.shell.kubectl("delete", "customresourcedefinitions", *names, "--ignore-not-found")

    def _helm(self, verb: str, *arguments: str) -> None:
        self.shell.helm(verb, RELEASE, *arguments, "-n", NAMESPACE, "--timeout=240s")

    def namespace(self, name: str) -> str:
        """Makes a namespace for sessions, as whoever uses the chart would: nothing else is in it."""
        self.shell.kubectl("create", "namespace", name)
        self.shell.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        self.namespaces.append(name)
        return name

    def session(self, namespace: str, name: str, **spec: object) -> None:
        """Applies a session."""
        document = {
            "apiVersion": "avatars.dev/v1alpha1",
            "kind": "AvatarSession",
            "metadata": {"name": name},
            "spec": spec,
        }
        self.shell.apply(document, namespace)

    def change(self, namespace: str, name: str, **spec: object) -> None:
        """Patches the spec of a session."""
        patch = json.dumps({"spec": spec})
        self.shell.kubectl("patch", "avs", name, "-n", namespace, "--type=merge", "-p", patch)

    def columns(self, namespace: str, name: str) -> dict[str, str]:
        """What `kubectl get avs -o wide` shows, by the names of its columns."""
        head, row = (
            self.shell.kubectl("get", "avs", name, "-n", namespace, "-o", "wide").decode().splitlines()
        )
        starts = [match.start() for match in re.finditer(r"\S+( \S+)*", head)]
        cells = [row[begin:end].strip() for begin, end in zip(starts, [*starts[1:], None], strict=True)]
        return dict(zip(re.split(r" {2,}", head.strip()), cells, strict=True))

    def pods(self, namespace: str, name: str) -> list[Json]:
        """Of a session."""
        found: list[Json] = self.shell.get("pods", "-n", namespace, "-l", f"avatars.dev/session={name}")[
            "items"
        ]
        return found

    def pods_of(self, part: str) -> set[str]:
        """Names of the pods of one component of the release."""
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={part}"
        found = self.shell.get("pods", "-n", NAMESPACE, "-l", selector)["items"]
        return {pod["metadata"]["name"] for pod in found}

    def status(self, namespace: str, name: str) -> Json:
        """Status of a session; empty before there is one."""
        found = self.shell.there("avs", name, "-n", namespace)
        return dict(found.get("status", {})) if found else {}

    def until(self, namespace: str, name: str, truth: str, reason: str, seconds: float = 120) -> Json:
        """Waits for `Succeeded` to say so; returns the status.

        Raises:
            AssertionError: it did not come, or something final came instead.
        """

        def look() -> Json | None:
            status = self.status(namespace, name)
            said = condition(status)
            if said == (truth, reason):
                return status
            assert said[0] not in {"True", "False"}, f"{name}: {said}: {status['conditions']}"
            return None

        return eventually(look, seconds=seconds) or {}

    def fetch(self, url: str, name: str = "video.mp4") -> bytes:
        """What a link of a session leads to, through the API server's proxy of services."""
        return self.shell.kubectl("get", "--raw", f"{self.proxied(url)}{name}")

    @staticmethod
    def proxied(url: str) -> str:
        """Where the API server's proxy has a link of a session."""
        link = urlsplit(url)
        service, namespace, _ = (link.hostname or "").split(".", 2)
        return f"/api/v1/namespaces/{namespace}/services/http:{service}:{link.port}/proxy{link.path}"

    def events(self, namespace: str, name: str) -> list[str]:
        """Reasons of a session's Events, in order."""
        found = self.shell.get("events.events.k8s.io", "-n", namespace)["items"]
        mine = [each for each in found if each["regarding"].get("name") == name]
        return [each["reason"] for each in sorted(mine, key=lambda each: str(each["eventTime"]))]


def condition(status: Json, kind: str = "Succeeded") -> tuple[str, str]:
    """Status and reason of a condition; ("", "") before there is one."""
    found = [each for each in status.get("conditions", ()) if each["type"] == kind]
    return (found[0]["status"], found[0]["reason"]) if found else ("", "")


def message(status: Json) -> str:
    """Of the condition Succeeded."""
    return next(str(each["message"]) for each in status["conditions"] if each["type"] == "Succeeded")
