"""Processes of containers, as the machine under the node sees them: to be killed and frozen from outside."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

OPERATOR, GATEWAY, SESSION = "avatar_operator", "avatar_gateway", "avatar_session"
INFERENCE = "serve"


@dataclass(frozen=True)
class Process:
    """One of ours in a container.

    Attributes:
        pid: on this machine.
        part: OPERATOR, GATEWAY, SESSION or INFERENCE.
        pod: its name.
    """

    pid: int
    part: str
    pod: str

    def kill(self) -> None:
        """As a crash would; it may have ended by itself."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does nothing while the block runs, and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)


def processes(part: str, pods: set[str]) -> list[Process]:
    """The first processes of the containers of these pods that run a part of ours."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            pod = _variables(folder).get("HOSTNAME", "")
            if part in words and pod in pods and _is_first(folder):
                found.append(Process(int(folder.name), part, pod))
    return found


def _variables(folder: Path) -> dict[str, str]:
    pairs = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _is_first(folder: Path) -> bool:
    """Whether it is process 1 of its own namespace."""
    lines = (folder / "status").read_text().splitlines()
    pids = next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
    return len(pids) > 1 and pids[-1] == "1"
