"""Whether this machine can run a node, found out by trying."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.cluster.node.commands import CNI_PLUGINS

_TRIAL = Path(__file__).with_name("trial.py")
_TRIAL_SECONDS = 60
_PROGRAMS = ("containerd", "ctr", "runc", "nft", "ip", "nsenter")
_PLUGINS = ("bridge", "host-local", "loopback", "portmap")


@dataclass(frozen=True, slots=True)
class Ability:
    """What the trial found.

    Attributes:
        problem: why no node can run here; None if one can.
        overlay: whether images need not be copied for each container.
    """

    problem: str | None
    overlay: bool = False


def node_problem() -> str | None:
    """Why this machine can't run a node, in a sentence; None if it can. Asked for once a process."""
    return ability().problem


@cache
def ability() -> Ability:
    """Tries what a node does, in namespaces that are gone afterwards."""
    if sys.platform != "linux":
        return Ability("a node needs Linux")
    if os.geteuid():
        return Ability("a node needs root: it makes namespaces, mounts and a bridge")
    if missing := _missing():
        packages = "containerd runc containernetworking-plugins nftables iproute2"
        return Ability(f"a node needs {', '.join(missing)}; Debian has them in {packages}")
    with tempfile.TemporaryDirectory(prefix="avatar-trial-") as folder:
        return _tried(folder)


def _missing() -> list[str]:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    programs = [name for name in _PROGRAMS if not shutil.which(name, path=path)]
    plugins = [f"{CNI_PLUGINS}/{name}" for name in _PLUGINS]
    return [*programs, *(plugin for plugin in plugins if not os.access(plugin, os.X_OK))]


def _tried(folder: str) -> Ability:
    command = [sys.executable, "-I", "-S", str(_TRIAL), folder]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Ability(f"a trial of namespaces, mounts and rules was not over after {_TRIAL_SECONDS} s")
    try:
        return Ability(**json.loads(ran.stdout))
    except (ValueError, TypeError):
        return Ability(f"a trial of namespaces, mounts and rules failed: {ran.stderr.strip()[-500:]}")
