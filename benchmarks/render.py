"""Speed, first frame, flush and memory of the inference server over real gRPC, in a process of its own.

python -m benchmarks.render            # all rows, as a table and as one JSON object
python -m benchmarks.render --quick    # short: 2 minutes instead of 10, read at 8x
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.sound import babble

from avatar_inference.client import FLUSH, Flush, InferenceClient, RenderConfig, Result, Video

RATE = 22050
CONFIG = RenderConfig(sample_rate=RATE, session="bench")
SERVER = """
import asyncio, sys
from pathlib import Path
from avatar_inference.server import ServerSettings, serve
async def main():
    async with serve(ServerSettings(port=0, bundle_store=Path(sys.argv[1]))) as running:
        print(running.target, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """A server in its own process: its target and process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        yield (await process.stdout.readline()).decode().strip(), process.pid
    finally:
        process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


def peak_mib(pid: int) -> float:
    """Peak resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


async def sound(seconds: float, spoken: bytes) -> AsyncIterator[bytes | Flush]:
    """So many seconds of sound, as fast as it is taken."""
    left = int(seconds * RATE) * 2
    while left > 0:
        yield spoken[:left]
        left -= len(spoken)


async def render(
    client: InferenceClient, seconds: float, spoken: bytes, *, read_at: float = 0
) -> dict[str, Any]:
    """Renders; `read_at` 1 reads the video no faster than it plays, 0 as fast as it comes."""
    started, first, played = time.monotonic(), 0.0, 0.0
    async for event in client.render(CONFIG, sound(seconds, spoken)):
        if isinstance(event, Video) and event.kind == "fragment":
            first = first or time.monotonic() - started
            played += event.duration
            if read_at and (ahead := played / read_at - (time.monotonic() - started)) > 0:
                await asyncio.sleep(ahead)
        if isinstance(event, Result):
            took = time.monotonic() - started
            return {
                "seconds": seconds,
                "took": took,
                "times_real_time": seconds / took,
                "first_fragment": first,
            }
    raise AssertionError("a render ends with its result")


async def flush_row(client: InferenceClient) -> dict[str, Any]:
    """A sentence of 2 s, a flush, a pause of 5 s: when its last frame is delivered."""
    spoken = babble(2.0)
    pause_began = 0.0

    async def speak() -> AsyncIterator[bytes | Flush]:
        nonlocal pause_began
        yield spoken
        yield FLUSH
        pause_began = time.monotonic()
        await asyncio.sleep(5)
        yield spoken

    delivered, after = 0.0, None
    async for event in client.render(CONFIG, speak()):
        if isinstance(event, Video) and event.kind == "fragment":
            delivered += event.duration
            if after is None and delivered >= 2.12 - 1e-6:
                after = time.monotonic() - pause_began
    return {"what": "2 s sentence + flush: wholly delivered after the flush", "seconds": after}


async def memory_rows(folder: Path, minutes: list[int], pace: float, spoken: bytes) -> list[dict[str, Any]]:
    """Peak memory of a fresh server for each length, read as fast as it comes and at `pace` x real time."""
    rows = []
    for read_at in (0.0, pace):
        for length in minutes:
            async with server(folder) as (target, pid), InferenceClient(target) as client:
                row = await render(client, length * 60, spoken, read_at=read_at)
                rows.append(
                    {"what": f"{length} min, read {f'at {read_at:g}x' if read_at else 'as fast as it comes'}"}
                    | row
                    | {"peak_mib": peak_mib(pid)}
                )
                print(rows[-1], file=sys.stderr)
    return rows


async def main(quick: bool, folder: Path) -> dict[str, Any]:
    """All rows."""
    spoken = babble(30.0)
    async with server(folder) as (target, _), InferenceClient(target) as client:
        await render(client, 2, spoken)
        speeds = [await render(client, 60, spoken) for _ in range(3)]
        flush = await flush_row(client)
    memory = await memory_rows(folder, [1, 2] if quick else [1, 10], 8 if quick else 1, spoken)
    return {
        "cores": os.cpu_count(),
        "sixty_seconds": max(speeds, key=lambda row: row["times_real_time"]),
        "all_runs": speeds,
        "flush": flush,
        "memory": memory,
        "memory_ratio_fast": memory[1]["peak_mib"] / memory[0]["peak_mib"],
        "memory_ratio_slow": memory[3]["peak_mib"] / memory[2]["peak_mib"],
    }


if __name__ == "__main__":
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(asyncio.run(main(parser.parse_args().quick, Path(scratch))), indent=2))
