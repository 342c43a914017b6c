"""Starts, watches and ends a cluster's servers by way of their keeper."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

READY_SECONDS = 60
KEEPER = Path(__file__).with_name("keeper.py")


class ServerError(Exception):
    """A server did not start, or it ended on its own; the message has the end of its log."""


class Servers:
    """The servers of one cluster and the temporary folder they share.

    Attributes:
        folder: for certificates, data and logs; gone once `close` returns or this process ends.
        pids: of the servers as they were last started, by name.
    """

    def __init__(self, keeper: Sequence[str | Path] = (KEEPER,)) -> None:
        self._lock = threading.Lock()
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", *map(str, keeper)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        greeting = self._read()
        if "error" in greeting:
            self._keeper.communicate()
            raise ServerError(greeting["error"])
        self.folder = Path(greeting["folder"])
        self.pids: dict[str, int] = {}

    def start(self, name: str, command: Sequence[str | Path]) -> int:
        """Starts a server and returns its pid. Its output is added to `folder`/`name`.log."""
        pid: int = self._ask(do="start", name=name, command=[str(part) for part in command])["pid"]
        self.pids[name] = pid
        return pid

    def kill(self, name: str) -> None:
        """Ends a server as a crash would; it may be started again."""
        self._ask(do="kill", name=name)

    def freeze(self, name: str) -> None:
        """Halts a server where it stands: it keeps its connections and answers nothing."""
        self._ask(do="signal", name=name, signal=signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Lets a frozen server go on."""
        self._ask(do="signal", name=name, signal=signal.SIGCONT)

    def runs(self, name: str) -> bool:
        """Whether a server was started and has not ended."""
        return self._ask(do="look", name=name)["code"] is None

    def wait_until(self, ready: Callable[[], bool], *names: str) -> None:
        """Waits until `ready()`, which takes these servers.

        Raises:
            ServerError: one of them ended, or it took longer than `READY_SECONDS`.
        """
        end = time.monotonic() + READY_SECONDS
        while not ready():
            late = time.monotonic() > end
            for name in names:
                if late or not self.runs(name):
                    happened = f"is not ready after {READY_SECONDS} s" if late else "has ended"
                    raise ServerError(f"{name} {happened}:\n{self.log(name)[-3000:]}")
            time.sleep(0.05)

    def log(self, name: str) -> str:
        """What a server has said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def close(self) -> None:
        """Ends the servers and removes the folder. May be called again."""
        assert self._keeper.stdin
        assert self._keeper.stdout
        with suppress(BrokenPipeError):
            self._keeper.stdin.close()
        self._keeper.wait()
        self._keeper.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)  # should the keeper itself have been killed

    def _ask(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            assert self._keeper.stdin
            if self._keeper.stdin.closed:
                raise ServerError("the cluster is stopped")
            with suppress(BrokenPipeError):  # reading tells
                self._keeper.stdin.write(json.dumps(request).encode() + b"\n")
                self._keeper.stdin.flush()
            reply = self._read()
        if "error" in reply:
            raise ServerError(f"{request['name']}: {reply['error']}")
        return reply

    def _read(self) -> dict[str, Any]:
        assert self._keeper.stdout
        line = self._keeper.stdout.readline()
        if not line:
            raise ServerError("the keeper of the cluster's servers is gone")
        reply: dict[str, Any] = json.loads(line)
        return reply


class Port:
    """A free loopback port that stays ours, also while no server listens on it.

    A socket bound with SO_REUSEPORT, never listening, keeps it from everybody but servers that share ports on
    purpose; a connection reaches those that listen. So two clusters never race for a port, and a server that
    is started again finds its own.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Gives the port up."""
        self._socket.close()
