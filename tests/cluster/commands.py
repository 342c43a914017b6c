"""Command lines of a cluster's servers, and the files they read. Pure: nothing is started here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.pki import Identity

ETCD, API_SERVER = "etcd", "kube-apiserver"
CONTROLLER_MANAGER, SCHEDULER = "kube-controller-manager", "kube-scheduler"

_SERVICE_RANGE = "10.96.0.0/24"
SERVER_NAMES = ("127.0.0.1", "localhost", "kubernetes.default.svc", "kubernetes.default", "10.96.0.1")
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of one cluster are.

    Attributes:
        folder: holds the files named in `files`, etcd's data and the audit log.
        tools: programs by name.
        flags: further flags by a server's name; one given here replaces ours of that name.
        address: where the API server listens.
    """

    folder: Path
    tools: Mapping[str, Path]
    api_port: int
    etcd_port: int
    etcd_peer_port: int
    flags: Mapping[str, Sequence[str]]
    address: str = LOOPBACK

    @property
    def audit_log(self) -> Path:
        """One JSON line a request."""
        return self.folder / "audit.log"

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def etcd_url(self) -> str:
        """Of etcd's client port, which also speaks JSON."""
        return f"http://127.0.0.1:{self.etcd_port}"


def etcd(layout: Layout) -> list[str]:
    """No fsync: the data live as long as the test."""
    peer = f"http://127.0.0.1:{layout.etcd_peer_port}"
    return _command(
        layout,
        ETCD,
        "--data-dir=etcd",
        f"--listen-client-urls={layout.etcd_url}",
        f"--advertise-client-urls={layout.etcd_url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--socket-reuse-port",
        "--log-level=warn",
    )


def api_server(layout: Layout) -> list[str]:
    """RBAC, tokens and audit; no endpoints for the Service `kubernetes`, as they may not be loopback."""
    return _command(
        layout,
        API_SERVER,
        f"--etcd-servers={layout.etcd_url}",
        f"--bind-address={layout.address}",
        f"--advertise-address={layout.address}",
        "--endpoint-reconciler-type=none",
        f"--secure-port={layout.api_port}",
        "--permit-port-sharing",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--client-ca-file=ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=tokens.pub",
        "--service-account-signing-key-file=tokens.key",
        f"--service-cluster-ip-range={_SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged",
        "--audit-policy-file=audit-policy.yaml",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-maxsize=10000",
        "--profiling=false",
    )


def controller_manager(layout: Layout, kubeconfig: Path) -> list[str]:
    """Every controller but the one that would declare nodes lost which no kubelet keeps alive.

    All share one identity, an administrator's: an account for each costs four more seconds at the start.
    """
    return _command(
        layout,
        CONTROLLER_MANAGER,
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--controllers=*,-node-lifecycle-controller",
        "--service-account-private-key-file=tokens.key",
        "--root-ca-file=ca.crt",
        "--cluster-signing-cert-file=ca.crt",
        "--cluster-signing-key-file=ca.key",
        "--profiling=false",
    )


def scheduler(layout: Layout, kubeconfig: Path) -> list[str]:
    """The default profile."""
    return _command(
        layout,
        SCHEDULER,
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    )


def _command(layout: Layout, program: str, *flags: str) -> list[str]:
    return [str(layout.tools[program]), *with_flags(flags, layout.flags.get(program, ()))]


def with_flags(ours: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """A wanted flag replaces ours of its name: lists, such as --controllers, would else grow together."""
    replaced = {flag.partition("=")[0] for flag in wanted}
    return [*(flag for flag in ours if flag.partition("=")[0] not in replaced), *wanted]


# Who belongs to the cluster itself or sets up tests is not what a test wants to count.
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: None, userGroups: ["system:masters", "system:nodes", "system:serviceaccounts:kube-system"]}
- {level: None, users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"]}
- {level: Metadata}
"""


def files(ca: Identity, server: Identity, tokens: tuple[bytes, bytes]) -> dict[str, bytes]:
    """What the servers read from the cluster's folder, by name."""
    return {
        "ca.crt": ca.certificate,
        "ca.key": ca.key,
        "server.crt": server.certificate,
        "server.key": server.key,
        "tokens.key": tokens[0],
        "tokens.pub": tokens[1],
        "audit-policy.yaml": _AUDIT_POLICY.encode(),
    }


def kubeconfig(url: str, ca: Path, credentials: Mapping[str, str]) -> dict[str, Any]:
    """A kubeconfig of one user; `credentials` as its `user` has them."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "test", "user": dict(credentials)}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
