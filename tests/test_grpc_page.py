"""What docs/grpc.md tells people to run, run as it stands there."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import wave
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import av
import pytest
from tests.support.peers import GRPCURL, tool

from avatar_inference.server import ServerSettings, serve

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/grpc.md").read_text()
SERVER = "127.0.0.1:50051"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(heading: str) -> list[tuple[str, str]]:
    """Language and text of what is to be run in a section."""
    found: list[tuple[str, str]] = BLOCK.findall(PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0])
    assert found
    assert any(SERVER in text for _, text in found)
    return found


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[Path, str]]:
    """A folder that looks like the project's root, and a server's address."""
    for name in ("examples", "protos"):
        (tmp_path / name).symlink_to(ROOT / name)
    settings = ServerSettings(port=0, bundle_store=tmp_path / "bundles", drain_seconds=1)
    async with serve(settings) as running:
        yield tmp_path, running.target


async def said(heading: str, place: tuple[Path, str], more: Mapping[str, str] | None = None) -> str:
    """Runs a section's blocks one after the other; what they wrote."""
    folder, target = place
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **(more or {})}
    told = ""
    for language, text in blocks(heading):
        command = [sys.executable, "-c"] if language == "python" else ["bash", "-euo", "pipefail", "-c"]
        process = await asyncio.create_subprocess_exec(
            *command,
            text.replace(SERVER, target),
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        told += out.decode()
    return told


def is_a_video_of_its_sound(path: Path) -> None:
    with wave.open(str(ROOT / "examples/welcome.wav")) as sound:
        spoken = sound.getnframes() / sound.getframerate()
    with av.open(str(path)) as video:
        assert video.streams.video[0].height == 256
        frames = sum(1 for _ in video.decode(video=0))
    assert frames / 15 == pytest.approx(0.12 + spoken + 0.3, abs=1 / 15)


async def test_the_client(place: tuple[Path, str]) -> None:
    told = await said("Python, with the client", place)
    is_a_video_of_its_sound(place[0] / "client.mp4")
    assert told.startswith("preview\n")
    assert "InvalidArgument config.batch_size None Correct the named field" in told


async def test_stubs_of_ones_own(place: tuple[Path, str]) -> None:
    told = await said("Python, with stubs of your own", place, {"PYTHONPATH": "stubs"})
    is_a_video_of_its_sound(place[0] / "stubs.mp4")
    assert "INVALID_ARGUMENT config.batch_size: 5 is not allowed" in told
    assert 'ErrorInfo reason: "InvalidArgument"\ndomain: "avatars.dev"' in told
    assert 'field: "config.batch_size"' in told


@pytest.mark.peers
async def test_grpcurl(place: tuple[Path, str]) -> None:
    program = await asyncio.to_thread(tool, GRPCURL)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    told = await said("grpcurl", place, {"PATH": path})
    is_a_video_of_its_sound(place[0] / "grpcurl.mp4")
    assert "rpc Render ( stream" in told
    assert '"engine": "preview"' in told
    assert '"status": "SERVING"' in told
