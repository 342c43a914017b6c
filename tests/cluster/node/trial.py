"""Tries in namespaces of its own what a node does, and says what this machine refuses.

Runs as a script, standard library only: `trial.py FOLDER`; prints {"problem", "overlay"}. Whatever happens,
the kernel clears away what was made, all but the files in the folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import namespaces

_RULES = (
    "add table ip avatar-trial\nadd chain ip avatar-trial c { type nat hook prerouting priority -100 ; }\n"
)


def _namespaces(folder: Path) -> None:
    with namespaces.children_in_a_namespace_of_pids():
        command = [sys.executable, "-I", "-S", __file__, str(folder), "--inside"]
        ran = subprocess.run(command, preexec_fn=namespaces.enter, check=False)
    if ran.returncode:
        raise OSError(f"the trial ended with {ran.returncode}")


def _bridge() -> None:
    namespaces.run(["ip", "link", "add", "trial", "type", "bridge"])
    namespaces.run(["ip", "link", "add", "trial-a", "type", "veth", "peer", "name", "trial-b"])
    namespaces.run(["ip", "link", "set", "trial-a", "master", "trial"])


def _rules() -> None:
    ran = subprocess.run(["nft", "-f", "-"], input=_RULES, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise OSError(ran.stderr.strip())


def _overlay(folder: Path) -> None:
    parts = {name: folder / name for name in ("lower", "upper", "work", "merged")}
    for part in parts.values():
        part.mkdir()
    options = f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}"
    namespaces.mount("overlay", str(parts["merged"]), "overlay", options=options)


def _cgroups(folder: Path) -> None:
    try:
        namespaces.make_cgroups(folder.name)
    finally:
        namespaces.remove_cgroups(folder.name)


def _refused(what: str, attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except (OSError, subprocess.SubprocessError) as error:
        return f"this machine can't run a node: {what}: {error}"
    return None


def _inside(folder: Path) -> dict[str, object]:
    problem = (
        _refused("no mounts of its own", namespaces.private_mounts)
        or _refused("no bridge", _bridge)
        or _refused("no rules of nftables", _rules)
    )
    overlay = not problem and _refused("no overlay", lambda: _overlay(folder)) is None
    return {"problem": problem, "overlay": overlay}


def main() -> None:
    """Outside: cgroups and the namespaces. Inside: all else."""
    folder = Path(sys.argv[1])
    namespaces.extend_path()
    if "--inside" in sys.argv:
        print(json.dumps(_inside(folder)))
        return
    problem = _refused("no cgroups", lambda: _cgroups(folder)) or _refused(
        "no namespaces", lambda: _namespaces(folder)
    )
    if problem:
        print(json.dumps({"problem": problem}))


if __name__ == "__main__":
    main()
