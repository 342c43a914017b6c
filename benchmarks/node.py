"""From `kubectl apply` to a video on a real node, ten times over, with where the time goes.

    python -m benchmarks.node

Node, images and chart as in tests/e2e; needs what `make e2e` needs.
"""

from __future__ import annotations

import json
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.cluster.node import NodeCluster
from tests.e2e.installation import Installation
from tests.e2e.setup import build_images, install

RUNS = 10
TEXT = "Hello, and welcome! I am Ava, and every word you hear was spoken and drawn on this machine, just now."
Row = dict[str, float]


def main() -> None:
    """Prints one row a run and the medians."""
    with tempfile.TemporaryDirectory() as home, NodeCluster.start() as node:
        for archive in build_images():
            node.load_image(archive)
        installation = install(node, Path(home))
        print(f"helm install: all ready after {installation.seconds:.1f} s")
        place = installation.namespace("people")
        measure(installation, place, "warm-up")
        rows = [measure(installation, place, f"run-{number}") for number in range(RUNS)]
    for row in [*rows, {name: median(row[name] for row in rows) for name in rows[0]}]:
        print("  ".join(f"{name} {seconds:5.2f}" for name, seconds in row.items()))


def measure(installation: Installation, place: str, name: str) -> Row:
    """One session; seconds between its stations."""
    applied = time.time()
    installation.session(place, name, text=TEXT)
    status = installation.until(place, name, "True", "Succeeded")
    succeeded = time.time()
    [pod] = installation.shell.get("pods", "-n", place, "-l", f"avatars.dev/session={name}")["items"]
    began, rendered = _stations(installation.shell.kubectl("logs", "-n", place, pod["metadata"]["name"]))
    timings = status["timings"]
    return {
        "apply-to-process": began - applied,
        "speech": timings["speech"]["first"],
        "first-fragment": timings["firstFrameSeconds"],
        "drawn": timings["render"]["end"],
        "published": timings["totalSeconds"],
        "process-to-receipt": rendered - began,
        "apply-to-first-fragment": began - applied + timings["firstFrameSeconds"],
        "apply-to-succeeded": succeeded - applied,
        "video": status["video"]["seconds"],
    }


def _stations(log: bytes) -> tuple[float, float]:
    """When the pod's process began its work, and when the video was there."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines() if line.startswith(b"{")]
    times = [datetime.fromisoformat(line["time"]).timestamp() for line in lines]
    return times[0], times[-1]


if __name__ == "__main__":
    main()
