"""Thirty-two equal clips at once on one server: how evenly they progress, and how many streams share a step.

python -m benchmarks.streams [--streams 32] [--seconds 10]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from tests.support.renders import Rendered, collect
from tests.support.sound import babble, pieces

from avatar_inference.client import InferenceClient, RenderConfig
from avatar_inference.server import ServerSettings, serve

CONFIG = RenderConfig(sample_rate=22050, session="bench")


def histogram(text: str, name: str) -> dict[str, int]:
    """Steps by upper bound, not cumulative."""
    counts: dict[str, int] = {}
    before = 0
    for line in text.splitlines():
        if line.startswith(f"avatar_inference_{name}_bucket"):
            total = int(float(line.split()[1]))
            counts["<= " + line.split('"')[1].removesuffix(".0")] = total - before
            before = total
    return {bound: count for bound, count in counts.items() if count}


async def main(streams: int, seconds: float) -> dict[str, Any]:
    """All clips at once, after one alone."""
    sound = babble(seconds)
    with TemporaryDirectory() as folder:
        settings = ServerSettings(port=0, metrics_port=0, bundle_store=Path(folder))
        async with serve(settings) as running, InferenceClient(running.target) as client:
            solo = await collect(client, CONFIG, pieces(sound))
            rendered = [Rendered() for _ in range(streams)]
            started = time.monotonic()
            tasks = [asyncio.create_task(collect(client, CONFIG, pieces(sound), into)) for into in rendered]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done = sorted(into.seconds for into in rendered)
            await asyncio.gather(*tasks)
            took = time.monotonic() - started
            page = await asyncio.to_thread(urlopen, f"http://{running.metrics_target}/metrics")
            text = page.read().decode()
    return {
        "streams": streams,
        "seconds_each": seconds,
        "times_real_time_in_all": streams * seconds / took,
        "least_to_most_when_the_first_is_done": done[0] / done[-1],
        "equal_to_solo": sum(into.fragments == solo.fragments for into in rendered),
        "steps_by_streams": histogram(text, "step_streams"),
        "steps_by_frames": histogram(text, "step_frames"),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(main(arguments.streams, arguments.seconds)), indent=2))
