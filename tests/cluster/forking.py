"""Operator processes that are forked from one that has read all modules: a start costs a tenth."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")


class Forked:
    """The part of `subprocess.Popen` that tests use."""

    def __init__(self, config: Path, environment: Mapping[str, str], log: Path) -> None:
        _SERVER.set_forkserver_preload(["avatar_operator.main", "kubernetes.aio.client", "kopf"])
        self._process = _SERVER.Process(target=_operate, args=(config, dict(environment), log), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """As os.kill; nothing once it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """At once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("operator", timeout or 0)
        return self.returncode


def _operate(config: Path, environment: dict[str, str], log: Path) -> None:
    """In the new process."""
    os.environ.update(environment)
    with log.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    from avatar_operator.__main__ import main

    sys.argv = ["avatar_operator", "--config", str(config)]
    sys.exit(main())
