"""What holds the project together: pins, licences, make targets, and a quick start."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def direct_dependencies() -> dict[str, str]:
    """Every direct dependency and the extra that asks for it."""
    groups = {"-": PROJECT["project"]["dependencies"], **PROJECT["project"]["optional-dependencies"]}
    groups["build"] = PROJECT["build-system"]["requires"]
    names = {name_of(wanted): extra for extra, all_wanted in groups.items() for wanted in all_wanted}
    return {name: extra for name, extra in names.items() if name != "avatar-operator"}


def pins(lock: Path) -> set[tuple[str, str]]:
    return {
        (name_of(name), version) for name, version in re.findall(r"^(\S+?)==(\S+)", lock.read_text(), re.M)
    }


def test_every_direct_dependency_has_its_licence_in_the_table() -> None:
    rows = re.findall(
        r"^\| ([\w.-]+) \| ([\w-]+) \| ([^|]+) \|", (ROOT / "docs/licences.md").read_text(), re.M
    )
    listed = {name: extra for name, extra, licence in rows if name != "package" and licence.strip()}
    assert listed == direct_dependencies()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_has_hashes_and_no_index_is_named(lock: Path) -> None:
    lines = lock.read_text().splitlines()
    kinds = [
        re.compile(r"^[a-z0-9][a-z0-9._-]*==\S+( ; .+)? \\$"),
        re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$"),
    ]
    assert [line for line in lines if not any(kind.match(line) for kind in kinds)] == []
    pinned = [number for number, line in enumerate(lines) if "==" in line and "--hash" not in line]
    assert all("--hash" in lines[number + 1] for number in pinned)


def test_the_locks_agree_and_hold_what_is_asked_for() -> None:
    demo, dev = pins(ROOT / "requirements/demo.txt"), pins(ROOT / "requirements/dev.txt")
    assert demo <= dev, "`make lock` was not run"
    extras = direct_dependencies()
    assert set(extras) <= {name for name, _ in dev}
    wanted = {name for name, extra in extras.items() if extra in ("-", "inference", "demo", "build")}
    assert wanted <= {name for name, _ in demo}
    assert "pytest" not in {name for name, _ in demo}
    assert "opencv-python-headless" not in {name for name, _ in demo}


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    declared = re.search(r"^\.PHONY: (.+)$", makefile, re.M)
    assert declared
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([a-z0-9-]+) +\S", shown, re.M) == declared[1].split()
    asked_for = {"demo", "test", "lint", "format", "protos", "bench", "clean", "help"}
    assert asked_for <= set(declared[1].split())


HEAVY = [
    "av",
    "cv2",
    "grpc",
    "httpcore2",
    "httpx2",
    "kopf",
    "kubernetes",
    "numpy",
    "obstore",
    "openai",
    "PIL",
    "pydantic",
    "rich",
    "yaml",
]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "bash"], ["run", "--help"]])
def test_the_command_starts_without_heavy_modules(arguments: list[str]) -> None:
    program = (
        "import sys, json; sys.argv[0] = 'avatar'\n"
        "from avatar_cli.main import run\n"
        "print('\\n' + json.dumps([run(), sorted(m for m in sys.modules if '.' not in m)]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    code, loaded = json.loads(ran.stdout.splitlines()[-1])
    assert code == 0, ran.stderr
    assert set(HEAVY) & set(loaded) == set()
    assert "click" in loaded
