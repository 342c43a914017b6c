"""A real inference server in a process of its own, that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """
import asyncio, sys
from pathlib import Path
from avatar_inference.admission import Limits
from avatar_inference.server import ServerSettings, serve

async def main():
    limits = Limits(renders=int(sys.argv[2]), waiting=int(sys.argv[3]), held_bytes=2 * 1024**3)
    settings = ServerSettings(port=0, bundle_store=Path(sys.argv[1]), limits=limits, drain_seconds=1)
    async with serve(settings) as running:
        print(running.target, flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until the parent is gone

asyncio.run(main())
"""


@dataclass(frozen=True)
class InferenceProcess:
    """A running server."""

    target: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """Ends it without a farewell."""
        self.process.kill()
        self.process.wait()


@contextmanager
def inference_process(folder: Path, *, renders: int = 64, waiting: int = 256) -> Iterator[InferenceProcess]:
    """Runs a server of the preview engine on a free loopback port until the block ends."""
    with (folder / "inference.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(folder / "bundles"), str(renders), str(waiting)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout
    assert process.stdin
    target = process.stdout.readline().strip()
    assert target, (folder / "inference.log").read_text()
    try:
        yield InferenceProcess(target, process)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@dataclass
class ServeProcess:
    """A running `avatar serve`."""

    target: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def finished(self) -> int:
        """Renders that it drew to their end."""
        return sum(
            json.loads(line)["message"] == "render finished" for line in self.log.read_text().splitlines()
        )


@contextmanager
def serve_process(folder: Path, *flags: str, **environment: str) -> Iterator[ServeProcess]:
    """Runs the command on a free loopback port until the block ends; a test may have ended it before."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "serve.log"
    fixed = ["serve", "--port", "0", "--no-metrics", "--bundle-store", str(folder / "bundles")]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "avatar_cli", *fixed, *flags],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environment},
        )
    assert process.stdout
    try:
        target = process.stdout.readline().removeprefix("serving on ").strip()
        assert target, log.read_text()
        yield ServeProcess(target, process, log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
