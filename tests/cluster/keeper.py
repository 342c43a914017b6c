"""The process that owns a cluster's servers and its folder, so that neither outlives whoever asked for them.

Runs as a script of its own, standard library only, in a session of its own: Ctrl-C on the terminal reaches
the test run, not the servers. It ends when its standard input closes or its parent is gone, for whatever
reason, and then kills the servers and removes the folder. Should it be killed itself, the kernel kills the
servers (PR_SET_PDEATHSIG; it is single-threaded because that signal follows the thread that forked).

Requests are JSON lines on standard input, each answered by one line:
{"do": "start", "name", "command"} -> {"pid"} · {"do": "look", "name"} -> {"code"}, null while it runs ·
{"do": "kill", "name"} -> {} · {"do": "signal", "name", "signal"} -> {}. The first line, unasked for, is
{"folder"}; a keeper that is given somebody else's folder says no such line and does not remove it.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.5  # how often to see whether the parent is gone though a child of its holds our input open
NEVER_STARTED = 127
GARBAGE = "300"  # collected three times as seldom: servers of Go take memory for a sixth of their CPU time
_PR_SET_PDEATHSIG = 1


class _Servers:
    """Child processes by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Does what a request asks for."""
        name = request["name"]
        match request["do"]:
            case "start":
                return {"pid": self._start(name, request["command"])}
            case "look":
                return {"code": self._running[name].poll() if name in self._running else NEVER_STARTED}
            case "kill":
                self._kill(name)
                return {}
            case "signal":
                self._running[name].send_signal(request["signal"])
                return {}
        return {"error": f"unknown request {request['do']}"}

    def reap(self) -> None:
        """Buries processes whose parents have ended: the first process of a namespace gets them."""
        with suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                running = (each for each in self._running.values() if each.returncode is None)
                server = next((each for each in running if each.pid == ended.si_pid), None)
                if server:
                    server.poll()
                else:
                    os.waitpid(ended.si_pid, 0)

    def kill_all(self) -> None:
        """Ends every server at once: nothing of theirs is wanted any more."""
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
        for process in self._running.values():
            process.wait()

    def _start(self, name: str, command: list[str]) -> int:
        before = self._running.get(name)
        if before and before.poll() is None:
            raise ValueError(f"{name} runs already")
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "GOGC": GARBAGE},
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # there is one thread
            )
        return self._running[name].pid

    def _kill(self, name: str) -> None:
        self._running[name].kill()
        self._running[name].wait()


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_KEEPER = os.getpid()


def _die_with_parent() -> None:
    """Between fork and exec: asks for SIGKILL at the keeper's end, which may have come in the meantime."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != _KEEPER:
        os._exit(1)


def _serve(servers: _Servers) -> None:
    """Answers requests until nobody is left to ask."""
    parent, unread = os.getppid(), b""
    while os.getppid() == parent:
        if os.getpid() == 1:
            servers.reap()
        if not select.select([0], [], [], LOOK_SECONDS)[0]:
            continue
        received = os.read(0, 65536)
        if not received:
            return
        *lines, unread = (unread + received).split(b"\n")
        for line in lines:
            try:
                reply = servers.answer(json.loads(line))
            except (OSError, ValueError, LookupError) as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            _say(reply)


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _leave(*_: object) -> None:
    raise SystemExit


def main() -> None:
    """Keeps servers until the parent ends or asks no more."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _leave)
    given = sys.argv[1:]
    folder = Path(given[0] if given else tempfile.mkdtemp(prefix="avatar-cluster-"))
    servers = _Servers(folder)
    try:
        if not given:
            _say({"folder": str(folder)})
        _serve(servers)
    except BrokenPipeError:
        pass  # the parent left without waiting for an answer
    finally:
        servers.kill_all()
        if not given:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
