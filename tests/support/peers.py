"""Third-party servers for tests: found in a cache or built there once, started on loopback, ended by pid.

The cache is $AVATAR_TOOLS, else ~/.cache/avatar-operator/tools; each tool has a folder <name>-<version>.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

BUILD_SECONDS = 900
READY_SECONDS = 90
GO_MODULES = Path(__file__).parent / "go"


@dataclass(frozen=True)
class GoTool:
    """A program that `go install` builds; or `go build`, where the folder `go/NAME` beside this file pins it.

    `go install` refuses modules that replace what they need; that folder's go.mod replaces it, too.
    """

    name: str
    package: str
    version: str

    @property
    def pinned(self) -> Path:
        """The folder with a go.mod for it, if there is one."""
        return GO_MODULES / self.name


@dataclass(frozen=True)
class GoModule:
    """Files of a Go module."""

    path: str
    version: str


@dataclass(frozen=True)
class PythonTool:
    """A program of a Python package, in an environment of its own."""

    name: str
    requirement: str
    version: str


VERSITYGW = GoTool("versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0")
GRPCURL = GoTool("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.4")
KUBECONFORM = GoTool("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0")
KUBE_SCORE = GoTool("kube-score", "github.com/zegl/kube-score/cmd/kube-score", "v1.20.0")
HELM_UNITTEST = GoTool("helm-unittest", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest", "v1.1.2")
KEDA = GoModule("github.com/kedacore/keda/v2", "v2.21.0")
PROMETHEUS_OPERATOR = GoModule("github.com/prometheus-operator/prometheus-operator", "v0.85.0")
LITELLM = PythonTool("litellm", "litellm[proxy]", "1.106.2")


def tool(wanted: GoTool | PythonTool) -> Path:
    """Path of the program. Without it and without a way to build it the test is skipped, in CI it fails."""
    folder = _cache() / f"{wanted.name}-{wanted.version}"
    program = folder / wanted.name if isinstance(wanted, GoTool) else folder / "bin" / wanted.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if not program.exists():
            try:
                _build(wanted, folder)
            except (OSError, subprocess.SubprocessError) as error:
                shutil.rmtree(folder, ignore_errors=True)
                output = getattr(error, "stderr", None) or str(error)
                _give_up(f"{wanted.name} {wanted.version} can't be built: {output[-500:]}")
    return program


def module(wanted: GoModule) -> Path:
    """The folder of a module's files, read-only. If it can't be had the test is skipped, in CI it fails."""
    try:
        # In an empty folder, or it would be looked for among the needs of a go.mod that is there.
        with tempfile.TemporaryDirectory() as nowhere:
            command = ["go", "mod", "download", "-json", f"{wanted.path}@{wanted.version}"]
            told = _run(command, folder=Path(nowhere))
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or str(error)
        _give_up(f"{wanted.path} {wanted.version} can't be had: {output[-500:]}")
    return Path(json.loads(told)["Dir"])


@contextmanager
def running(
    command: Sequence[str | Path], ready: Callable[[], bool], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server until the block ends; enters it once `ready()` is true."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        end = time.monotonic() + READY_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(
                    f"{Path(command[0]).name} did not start:\n{log.read_text(errors='replace')[-2000:]}"
                )
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def plain_environment(**more: str) -> dict[str, str]:
    """What a server needs of the environment: no proxies, no keys."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ} | more


def _cache() -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avatar-operator" / "tools"
    return Path(os.environ.get("AVATAR_TOOLS") or default)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time: parallel test workers ask for the same tool."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(wanted: GoTool | PythonTool, folder: Path) -> None:
    """Builds beside the final place, so that what is there is whole. Environments can't be moved."""
    if isinstance(wanted, GoTool):
        with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
            _build_go(wanted, Path(unfinished))
            folder.mkdir(exist_ok=True)
            (Path(unfinished) / wanted.name).rename(folder / wanted.name)
        return
    requirement, python = f"{wanted.requirement}=={wanted.version}", folder / "bin" / "python"
    if shutil.which("uv"):
        _run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run(["uv", "pip", "install", "--quiet", "--python", str(python), requirement])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", requirement])


def _build_go(wanted: GoTool, target: Path) -> None:
    environment = os.environ | {"GOBIN": str(target), "CGO_ENABLED": "0", "GOWORK": "off"}
    if wanted.pinned.exists():
        command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(target / wanted.name)]
        _run([*command, wanted.package], env=environment, folder=wanted.pinned)
    else:
        _run(["go", "install", f"{wanted.package}@{wanted.version}"], env=environment)


def _run(command: Sequence[str], env: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    ran = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS, env=env, cwd=folder
    )
    return ran.stdout


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
