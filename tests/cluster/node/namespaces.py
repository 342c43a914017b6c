"""A machine within this one, for one node: processes, mounts and network of its own.

Runs as a script, standard library only: `namespaces.py NETWORK`, a JSON object {cable, host, node, bridge,
whole}, addresses with their prefixes. It makes namespaces of pids, mounts and network, joins the
network to this machine's by a cable (a veth pair), and runs the keeper of servers in them as their first
process. Its first line is {"folder"}, or {"error"}; from then on the keeper reads requests and answers them.

When the keeper ends, or whoever started this script does, the kernel ends every process of the machine,
containers and their shims too, and with the last of them go its mounts, bridges, rules and sysctls. What the
kernel does not take along is removed here: the folder and the cgroups. Should this script be killed, the
kernel ends the keeper.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_KEEPER = Path(__file__).parents[1] / "keeper.py"
_LOOK_SECONDS = 0.5
_CGROUP_SECONDS = 5  # that the kernel may take to let go of a cgroup whose processes have ended
_CLONE_NEWNS, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
_MS_REC, _MS_PRIVATE, _MS_BIND = 0x4000, 0x40000, 0x1000
_PR_SET_PDEATHSIG = 1
# Programs of a node write there whatever they are told: what they write is the node's alone.
_OWN = ("/run", "/var/lib", "/var/log")
# What a kubelet wants of a kernel and would write for the whole machine: it reads here that it is so already.
TUNED = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
FORWARDING = ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables")  # of the machine's own network


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2).

    Raises:
        OSError: it is refused; says what.
    """
    arguments = (source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None)
    _checked(_libc().mount(*arguments), f"mount {kind or source} on {target}")


def enter() -> None:
    """Between fork and exec of the machine's first process: its mounts and network, and its end with ours."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _checked(_libc().unshare(_CLONE_NEWNS | _CLONE_NEWNET), "new namespaces of mounts and network")


@contextmanager
def children_in_a_namespace_of_pids() -> Iterator[None]:
    """Processes that are started in the block belong to a new namespace of pids; the first rules it."""
    ours = os.open("/proc/self/ns/pid", os.O_RDONLY)
    _checked(_libc().unshare(_CLONE_NEWPID), "a new namespace of pids")
    try:
        yield
    finally:
        _checked(_libc().setns(ours, _CLONE_NEWPID), "back to our pids")
        os.close(ours)


def private_mounts() -> None:
    """In the machine: what is mounted from now on stays in it; /proc shows its processes and no others."""
    mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    mount("proc", "/proc", "proc")


def _prepare(folder: Path) -> None:
    """In the machine, before any server of it."""
    private_mounts()
    for each in _OWN:
        if folder.is_relative_to(each):
            raise OSError(f"{folder} lies below {each}: choose another TMPDIR")
        mount("tmpfs", each, "tmpfs")
    for name, value in TUNED.items():
        shown = folder / "kernel" / name
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(f"{value}\n")
        if Path("/proc/sys", name).exists():
            mount(str(shown), f"/proc/sys/{name}", flags=_MS_BIND)
    for name in FORWARDING:
        with suppress(FileNotFoundError):
            Path("/proc/sys/net", name).write_text("1")


def cabling(network: Mapping[str, str], pid: int) -> list[list[str]]:
    """Commands that join the machine, whose first process is `pid` here, and this one."""
    inside = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip"]
    cable, host, node = network["cable"], network["host"], network["node"]
    return [
        ["ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(pid)],
        ["ip", "address", "add", host, "dev", cable],
        ["ip", "link", "set", cable, "up"],
        [*inside, "link", "set", "lo", "up"],
        [*inside, "address", "add", node, "dev", "eth0"],
        [*inside, "link", "set", "eth0", "up"],
        [*inside, "route", "add", "default", "via", host.partition("/")[0]],
        [*inside, "link", "add", "pods", "type", "bridge"],
        [*inside, "address", "add", network["bridge"], "dev", "pods"],
        [*inside, "link", "set", "pods", "up"],
        ["ip", "route", "add", network["whole"], "via", node.partition("/")[0]],
    ]


def run(command: Sequence[str]) -> None:
    """Runs a command.

    Raises:
        OSError: it failed; with what it said.
    """
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise OSError(f"{' '.join(command)}: {ran.stderr.strip()}")


def hierarchies() -> list[Path]:
    """Where cgroups are made: one place, or one for each controller of version 1."""
    rows = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [Path(row[4]) for row in rows if row[row.index("-") + 1] in ("cgroup", "cgroup2")]


def make_cgroups(name: str) -> None:
    """A cgroup for the pods, with every controller."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir()
        for limit in ("cpuset.cpus", "cpuset.mems"):  # of version 1: empty at first, and then nothing may run
            if (group / limit).exists() and not (group / limit).read_text().strip():
                (group / limit).write_text((hierarchy / limit).read_text())
        if (hierarchy / "cgroup.controllers").exists():
            for controller in (hierarchy / "cgroup.controllers").read_text().split():
                with suppress(OSError):
                    (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")


def remove_cgroups(name: str) -> None:
    """Removes what `make_cgroups` made and all below it, once its processes have ended."""
    end = time.monotonic() + _CGROUP_SECONDS
    left = [hierarchy / name for hierarchy in hierarchies()]
    while (left := [group for group in left if group.exists()]) and time.monotonic() < end:
        for group in left:
            for folder, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()
        time.sleep(0.02)


def _say(message: object) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _keep(network: Mapping[str, str]) -> None:
    """Makes a machine and stays until it ends or nobody is left who wanted it."""
    parent = os.getppid()
    folder = Path(tempfile.mkdtemp(prefix="avatar-node-"))
    machine = None
    try:
        make_cgroups(folder.name)
        command = [sys.executable, "-I", "-S", __file__, "--inside", str(folder)]
        with children_in_a_namespace_of_pids():
            machine = subprocess.Popen(command, preexec_fn=enter)  # noqa: PLW1509  # there is one thread
        for each in cabling(network, machine.pid):
            run(each)
        _say({"folder": str(folder)})
        while machine.poll() is None and os.getppid() == parent:
            with suppress(subprocess.TimeoutExpired):
                machine.wait(_LOOK_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        _say({"error": str(error)})
    finally:
        if machine:
            machine.kill()
            machine.wait()  # the first process of a namespace is the last to be gone
        remove_cgroups(folder.name)
        shutil.rmtree(folder, ignore_errors=True)


def extend_path() -> None:
    """Lets us find nft and ip, whose folders a user's path may lack."""
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


def _leave(*_: object) -> None:
    raise SystemExit


def main() -> None:
    """Outside: makes the machine. Inside: becomes its keeper."""
    extend_path()
    if sys.argv[1] == "--inside":
        _prepare(Path(sys.argv[2]))
        os.execv(sys.executable, [sys.executable, "-I", "-S", str(_KEEPER), sys.argv[2]])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _leave)
    _keep(json.loads(sys.argv[1]))


if __name__ == "__main__":
    main()
