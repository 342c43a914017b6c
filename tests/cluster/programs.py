"""Which programs make a cluster, in which versions, and where each may come from."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

_GO_MODULES = Path(__file__).parent / "go"


@dataclass(frozen=True, slots=True)
class Release:
    """Programs that are released together.

    Attributes:
        name: its folder's name in the cache and beside this file.
        packages: Go package of each program, by the program's name.
        download: where its release is, with {version}, {number} (without its v), {os}, {arch} and, if each
            program is a file of its own, {program}; otherwise a tar.gz. Empty if it is always built here.
        checksums: where the SHA-256 of `download` is, as a bare digest or as lines "digest  file".
        variables: what the linker sets, by the variable's name: a program asked for its version tells these.
    """

    name: str
    version: str
    packages: dict[str, str]
    download: str
    checksums: str
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def go_module(self) -> Path:
        """The folder whose go.mod and go.sum pin everything that is compiled."""
        return _GO_MODULES / self.name

    @property
    def cache(self) -> Path:
        """Where this version is kept for this user."""
        return cache() / "cluster" / f"{self.name}-{self.version}"

    def urls(self, program: str) -> tuple[str, str]:
        """Addresses of a program's release and of its checksum, for this machine."""
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        values = {
            "version": self.version,
            "number": self.version.removeprefix("v"),
            "os": sys.platform,
            "arch": machine,
            "program": program,
        }
        return self.download.format(**values), self.checksums.format(**values)


def cache() -> Path:
    """This user's cache of the project."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avatar-operator"


_KUBERNETES_VERSION = "v1.36.3"
_MAJOR, _MINOR, _ = _KUBERNETES_VERSION.removeprefix("v").split(".")

KUBERNETES = Release(
    name="kubernetes",
    version=_KUBERNETES_VERSION,
    packages={
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    },
    download="https://dl.k8s.io/release/{version}/bin/{os}/{arch}/{program}",
    checksums="https://dl.k8s.io/release/{version}/bin/{os}/{arch}/{program}.sha256",
    variables={
        "k8s.io/component-base/version.gitVersion": _KUBERNETES_VERSION,
        "k8s.io/component-base/version.gitMajor": _MAJOR,
        "k8s.io/component-base/version.gitMinor": _MINOR,
    },
)
ETCD = Release(
    name="etcd",
    version="v3.6.16",
    packages={"etcd": "go.etcd.io/etcd/server/v3"},
    download="https://github.com/etcd-io/etcd/releases/download/{version}/etcd-{version}-{os}-{arch}.tar.gz",
    checksums="https://github.com/etcd-io/etcd/releases/download/{version}/SHA256SUMS",
)
RELEASES = (ETCD, KUBERNETES)
"""What an API needs."""

KUBERNETES_NODE = replace(
    KUBERNETES, packages={name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kubelet", "kube-proxy")}
)
COREDNS = Release(
    name="coredns",
    version="v1.15.0",
    packages={"coredns": "github.com/coredns/coredns"},
    download="https://github.com/coredns/coredns/releases/download/{version}/coredns_{number}_{os}_{arch}.tgz",
    checksums="https://github.com/coredns/coredns/releases/download/{version}/coredns_{number}_{os}_{arch}.tgz.sha256",
)


def _digest_of_sources(name: str) -> str:
    """The version of a program of our own: one that was changed is another."""
    sources = sorted((_GO_MODULES / name).iterdir())
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


TOOLBOX = Release("toolbox", _digest_of_sources("toolbox"), {"toolbox": "."}, download="", checksums="")
NODE_RELEASES = (*RELEASES, KUBERNETES_NODE, COREDNS, TOOLBOX)
"""What an API and a node need; containerd, runc, CNI plugins, nft and ip are the system's."""
