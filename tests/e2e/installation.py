"""The chart, installed; and what a person does with it."""

from __future__ import annotations

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
    """A release of the chart in a cluster; `seconds` is how long it took until all was ready."""

    shell: Shell
    seconds: float = 0
    namespaces: list[str] = field(default_factory=list)

    def install(self, *values: str) -> None:
        """`helm install`, waiting until all is ready."""
        self.shell.helm(
            "install",
            RELEASE,
            str(CHART),
            "-n",
            NAMESPACE,
            "--create-namespace",
            "--wait",
            "--timeout=240s",
            *values,
        )

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
        link = urlsplit(url)
        service, namespace, _ = (link.hostname or "").split(".", 2)
        proxied = f"/api/v1/namespaces/{namespace}/services/http:{service}:{link.port}/proxy"
        return self.shell.kubectl("get", "--raw", f"{proxied}{link.path}{name}")

    def events(self, namespace: str, name: str) -> list[str]:
        """Reasons of a session's Events, in order."""
        found = self.shell.get("events.events.k8s.io", "-n", namespace)["items"]
        mine = [each for each in found if each["regarding"].get("name") == name]
        return [each["reason"] for each in sorted(mine, key=lambda each: str(each["eventTime"]))]


def condition(status: Json, kind: str = "Succeeded") -> tuple[str, str]:
    """Status and reason of a condition; ("", "") before there is one."""
    found = [each for each in status.get("conditions", ()) if each["type"] == kind]
    return (found[0]["status"], found[0]["reason"]) if found else ("", "")
