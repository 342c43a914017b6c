"""A real gateway process over a folder, with the rights of its roles and no more."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from tests.cluster.cluster import Cluster
from tests.cluster.operators import CHART, binding, free_port
from tests.cluster.patience import eventually


@dataclass(frozen=True)
class GatewayProcess:
    """A running gateway."""

    process: subprocess.Popen[bytes]
    url: str
    probes: str
    store: Path
    log: Path

    def ask(self, method: str, key: str, token: str = "", body: bytes | None = None) -> tuple[int, bytes]:
        """One request for an object."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return _ask(f"{self.url}/v1/store/{key}", method, headers, body)

    def watch(self, path: str, token: str = "", method: str = "GET") -> tuple[int, bytes]:
        """One request of a viewer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return _ask(f"{self.url}{path}", method, headers, None)

    def probe(self, path: str) -> tuple[int, bytes]:
        """Status and body of /healthz, /readyz or /metrics; 0 while it does not listen."""
        return _ask(f"{self.probes}{path}", "GET", {}, None)

    def end(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def gateway_process(
    cluster: Cluster, folder: Path, namespaces: Sequence[str], readers: Sequence[str] = (), **more: object
) -> Iterator[GatewayProcess]:
    """Runs a gateway for the sessions of some namespaces until the block ends; `more` configures it."""
    user = f"gateway-{secrets.token_hex(4)}"
    cluster.apply(CHART / "files/rbac/gateway.yaml")
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    cluster.rest.post(
        f"{rbac}/clusterrolebindings", binding("ClusterRoleBinding", "avatar-gateway-cluster", user)
    )
    for namespace in namespaces:
        bound = binding("RoleBinding", "avatar-gateway", user, namespace)
        cluster.rest.post(f"{rbac}/namespaces/{namespace}/rolebindings", bound)
    port, probes = free_port(), free_port()
    config = {
        "store": str(folder / "store"),
        "readers": list(readers),
        "host": "127.0.0.1",
        "port": port,
        "probesPort": probes,
        **more,
    }
    (folder / "gateway.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "avatar_gateway", "--config", str(folder / "gateway.yaml")]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig(user))}
    log = folder / "gateway.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    made = GatewayProcess(
        process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{probes}", folder / "store", log
    )
    try:
        eventually(lambda: made.probe("/readyz")[0] == 200)
        yield made
    finally:
        process.kill()
        process.wait()


def _ask(url: str, method: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""
