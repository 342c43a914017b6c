"""Nothing of a node outlives whoever started it: no container, mount, bridge, rule, cgroup, folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from tests.cluster import eventually
from tests.cluster.node import namespaces
from tests.cluster.tools import find_tools

pytestmark = [pytest.mark.cluster, pytest.mark.node, pytest.mark.slow, pytest.mark.usefixtures("node_tools")]
ROOT = Path(__file__).parents[3]
PATIENCE = 60
_RUNS_A_POD_AND_WAITS = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.cluster import eventually
from tests.cluster.node import NodeCluster
with NodeCluster.start() as cluster:
    cluster.kubectl("run", "stays", "--image=localhost/toolbox:1", "--", "pause")
    pod = "/api/v1/namespaces/default/pods/stays"
    eventually(lambda: cluster.rest.get(pod)["status"]["phase"] == "Running")
    print(cluster.machine.folder, cluster.machine.network.cable, cluster.folder, flush=True)
    time.sleep(%d)
"""


def offspring(ancestor: int) -> dict[int, str]:
    """All processes that descend from one, containers' too: its namespaces of pids are below ours."""
    children, names = defaultdict(list), {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        children[int(stat.rpartition(")")[2].split()[1])].append(int(folder.name))
        names[int(folder.name)] = stat[stat.index("(") + 1 : stat.rindex(")")]
    found, unseen = {}, [ancestor]
    while unseen:
        for pid in children[unseen.pop()]:
            found[pid] = names[pid]
            unseen.append(pid)
    return found


def traces(folder: Path, cable: str, control_plane: Path) -> list[str]:
    """What is left of a node on this machine."""
    left = [str(each) for each in (folder, control_plane, Path("/sys/class/net", cable)) if each.exists()]
    left += [str(h / folder.name) for h in namespaces.hierarchies() if (h / folder.name).exists()]
    left += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if folder.name in line]
    return left


def kernel() -> dict[str, str]:
    """What programs of a node like to change for everybody."""
    names = [*namespaces.TUNED, *(f"net/{name}" for name in namespaces.FORWARDING)]
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    files = {name: Path("/proc/sys", name) for name in names}
    return {"rules": rules} | {name: file.read_text() for name, file in files.items() if file.exists()}


@pytest.mark.parametrize("number", [None, signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left(number: signal.Signals | None) -> None:
    before = kernel()
    program = _RUNS_A_POD_AND_WAITS % (0 if number is None else 600)
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout
        folder, cable, control_plane = process.stdout.readline().split()
        place = Path(folder), cable, Path(control_plane)
        family = offspring(process.pid)
        if number is not None:
            assert {"containerd-shim", "toolbox", "kubelet", "kube-proxy"} <= set(family.values())
            assert traces(*place)
            assert kernel() == before, "a node changes nothing of this machine's, while it runs either"
            process.send_signal(number)
        process.wait(PATIENCE)
        assert eventually(lambda: not traces(*place), seconds=PATIENCE)
        assert eventually(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()])
        assert kernel() == before
    finally:
        process.kill()
        process.wait()


def test_the_kernel_ends_a_machine_whose_keeper_is_killed() -> None:
    program = _RUNS_A_POD_AND_WAITS % 600
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout
        folder, cable, control_plane = process.stdout.readline().split()
        family = offspring(process.pid)
        keeper = next(pid for pid in family if "namespaces.py" in Path(f"/proc/{pid}/cmdline").read_text())
        machine = offspring(keeper)
        os.kill(keeper, signal.SIGKILL)
        assert eventually(lambda: not [pid for pid in machine if Path(f"/proc/{pid}").exists()])
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        place = Path(folder), cable, Path(control_plane)
        assert eventually(lambda: not traces(*place), seconds=PATIENCE), "whoever started it clears away"
    finally:
        process.kill()
        process.wait()


def test_one_runs_from_the_command_until_ctrl_c() -> None:
    command = [sys.executable, "-m", "tests.cluster", "up", "--node"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout
        path = process.stdout.readline().strip().removeprefix("export KUBECONFIG=")
        kubectl = [str(find_tools()["kubectl"]), f"--kubeconfig={path}", "get", "nodes"]
        said = subprocess.run(kubectl, capture_output=True, text=True, check=True).stdout
        assert " Ready " in said
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert not Path(path).exists()
    finally:
        process.kill()
        process.wait()
