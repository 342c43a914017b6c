"""A client nobody here wrote: grpcurl finds the service by reflection and renders with it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.peers import GRPCURL, tool
from tests.support.sound import babble

from avatar_inference.server import SERVICE, Running, ServerSettings, serve

pytestmark = pytest.mark.peers


async def grpcurl(target: str, *arguments: str, send: str = "") -> tuple[int, str, str]:
    """Runs grpcurl against a server in this process: exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        await asyncio.to_thread(tool, GRPCURL),
        "-plaintext",
        "-max-time",
        "60",
        *(["-d", "@"] if send else []),
        target,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate(send.encode())
    return process.returncode or 0, out.decode(), errors.decode()


def messages(output: str) -> list[Any]:
    """JSON objects one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (at := len(output) - len(output[at:].lstrip())) < len(output):
        message, at = decoder.raw_decode(output, at)
        found.append(message)
    return found


def requests(pcm: bytes) -> str:
    """What grpcurl reads from standard input."""
    sequence = [
        {"config": {"audioFormat": {"sampleRate": 16000}, "frameRate": {"numerator": 12}}},
        {"audio": {"pcm": base64.b64encode(pcm).decode()}},
        {"flush": {}},
        {"end": {}},
    ]
    return "".join(json.dumps(request) for request in sequence)


async def test_it_finds_describes_and_asks_the_service(tmp_path: Path) -> None:
    async with serve(ServerSettings(port=0, bundle_store=tmp_path)) as running:
        _, listed, _ = await grpcurl(running.target, "list")
        _, described, _ = await grpcurl(running.target, "describe", SERVICE)
        _, info, _ = await grpcurl(running.target, f"{SERVICE}/GetServerInfo")
        _, health, _ = await grpcurl(running.target, "grpc.health.v1.Health/Check")
    assert {SERVICE, "grpc.health.v1.Health"} <= set(listed.split())
    assert "rpc Render ( stream" in described
    assert json.loads(info)["engine"] == "preview"
    assert json.loads(health)["status"] == "SERVING"


async def test_it_renders_a_whole_video(tmp_path: Path) -> None:
    async with serve(ServerSettings(port=0, bundle_store=tmp_path)) as running:
        code, out, errors = await grpcurl(
            running.target, f"{SERVICE}/Render", send=requests(babble(1.0, 16000))
        )
    assert code == 0, errors
    received = messages(out)
    video = b"".join(base64.b64decode(m["video"]["data"]) for m in received if "video" in m)
    result = received[-1]["result"]
    assert result["sha256"] == hashlib.sha256(video).hexdigest()
    assert int(result["frames"]) == -(-142 * 12 // 100)
    assert "accepted" in received[0]


async def test_it_is_told_what_is_wrong(tmp_path: Path) -> None:
    bad = json.dumps({"config": {"audioFormat": {"sampleRate": 16000}, "batchSize": 5}})
    async with serve(ServerSettings(port=0, bundle_store=tmp_path)) as running:
        code, _, errors = await grpcurl(running.target, f"{SERVICE}/Render", send=bad)
        await _still_serves(running)
    assert code != 0
    assert "InvalidArgument" in errors
    assert "config.batch_size: 5 is not allowed; must be 1 to 4" in errors
    assert '"domain": "avatars.dev"' in errors.replace('":"', '": "')


async def _still_serves(running: Running) -> None:
    _, health, _ = await grpcurl(running.target, "grpc.health.v1.Health/Check")
    assert json.loads(health)["status"] == "SERVING"
