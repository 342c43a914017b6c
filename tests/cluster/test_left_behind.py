"""Nothing of a cluster outlives whoever started it: no process, no folder, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster import Cluster, ServerError
from tests.cluster.patience import eventually

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
    pytest.mark.usefixtures("cluster_tools"),
]
ROOT = Path(__file__).parents[2]
PATIENCE = 30

# Tests started in the background, as by `make test &`, ignore SIGINT, and so would what they start.
_HEEDS_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
_STARTS_AND_WAITS = """
import time
from tests.cluster import Cluster
cluster = Cluster.start()
print(cluster.folder, flush=True)
time.sleep(600)
"""
# A child that holds everything its parent had open, pipes too, and stays after it.
_FORKS_AND_WAITS = """
import os, time
from tests.cluster import Cluster
cluster = Cluster.start()
print(cluster.folder, flush=True)
if child := os.fork():
    print(child, flush=True)
time.sleep(600)
"""
_STARTS_IN_A_THREAD = """
import threading
from tests.cluster import Cluster
started = []
thread = threading.Thread(target=lambda: started.append(Cluster.start()))
thread.start()
thread.join()
started[0].rest.get("/api/v1/namespaces")
print("answers after the thread that started it has ended")
"""


@dataclass(frozen=True)
class Starter:
    """A process that started a cluster, and the cluster's folder."""

    process: subprocess.Popen[str]
    folder: Path

    def pids(self) -> dict[int, str]:
        """Everything that works in the folder or keeps it, but the starter, by pid."""
        return {pid: name for pid, name in _of_folder(self.folder).items() if pid != self.process.pid}

    def is_gone(self) -> bool:
        return not self.folder.exists() and not self.pids()


def _of_folder(folder: Path) -> dict[int, str]:
    """Processes whose working folder is `folder`."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found[int(process.name)] = (process / "comm").read_text().strip()
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return found


@pytest.fixture
def starter() -> Iterator[Callable[[str], Starter]]:
    """Runs programs that print the folder of the cluster they start."""
    with ExitStack() as running:

        def start(program: str) -> Starter:
            command = [sys.executable, "-c", _HEEDS_SIGINT + program]
            process = running.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
            )
            running.callback(process.kill)
            assert process.stdout
            started = Starter(process, Path(process.stdout.readline().strip()))
            assert sorted(started.pids().values()) == ["etcd", "kube-apiserver"]
            return started

        yield start


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_after_a_signal(starter: Callable[[str], Starter], number: signal.Signals) -> None:
    run = starter(_STARTS_AND_WAITS)
    run.process.send_signal(number)
    run.process.wait(PATIENCE)
    assert eventually(run.is_gone)


def test_nothing_is_left_though_a_forked_child_holds_the_pipe(starter: Callable[[str], Starter]) -> None:
    run = starter(_FORKS_AND_WAITS)
    assert run.process.stdout
    child = int(run.process.stdout.readline())
    run.process.kill()
    run.process.wait(PATIENCE)
    try:
        assert eventually(run.is_gone)
    finally:
        os.kill(child, signal.SIGKILL)


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def test_servers_end_when_their_keeper_is_killed() -> None:
    with Cluster.start() as cluster:
        servers = _of_folder(cluster.folder)
        keeper = int(Path(f"/proc/{min(servers)}/stat").read_text().rsplit(")", 1)[1].split()[1])
        assert "keeper.py" in " ".join(_command(keeper))
        os.kill(keeper, signal.SIGKILL)
        assert eventually(lambda: not _of_folder(cluster.folder))
        with pytest.raises(ServerError, match="keeper"):
            cluster.restart_api_server()
    assert not cluster.folder.exists()


def test_a_cluster_outlives_the_thread_that_started_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _STARTS_IN_A_THREAD], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "answers" in ran.stdout


def test_nothing_is_left_when_pytest_is_interrupted_in_a_test(tmp_path: Path) -> None:
    test = tmp_path / "test_endless.py"
    test.write_text(
        "import time\n"
        "def test_endless(cluster):\n    print(cluster.folder, flush=True)\n    time.sleep(600)\n"
    )
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "tests.cluster.fixtures"]
    program = _HEEDS_SIGINT + "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *options]
    process = subprocess.Popen(
        [*command, str(test)], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    folder = next(Path(line.strip()) for line in process.stdout if "avatar-cluster-" in line)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does with Ctrl-C: everybody in the foreground
    process.communicate(timeout=PATIENCE)
    assert not folder.exists()
    assert not _of_folder(folder)
