"""From `kubectl apply` to a video on a real node, ten times over, with where the time goes.

    python -m benchmarks.node

Node, images and chart as in tests/e2e; needs what `make e2e` needs.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.cluster.node import NodeCluster
from tests.cluster.rest import Rest, RestError
from tests.e2e.installation import Installation
from tests.e2e.setup import build_images, reach

RUNS = 10
TEXT = "Hello, and welcome! I am Ava, and every word you hear was spoken and drawn on this machine, just now."
Row = dict[str, float]


def main() -> None:
    """Prints one row a run and the medians."""
    with tempfile.TemporaryDirectory() as home, NodeCluster.start() as node:
        for archive in build_images():
            node.load_image(archive)
        installation = reach(node.kubeconfig(), Path(home))
        installation.become()
        print(f"helm install: all ready after {installation.seconds:.1f} s")
        place = installation.namespace("people")
        measure(installation, node.rest, place, "warm-up")
        rows = [measure(installation, node.rest, place, f"run-{number}") for number in range(RUNS)]
    for row in [*rows, {name: median(row[name] for row in rows) for name in rows[0]}]:
        print("  ".join(f"{name} {seconds:5.2f}" for name, seconds in row.items()))


@dataclass
class Viewer:
    """Asks for a video as soon as there is a link, as the page does: its playlist, then the first piece.

    Attributes:
        rest: the API server, whose proxy leads to the gateway.
        path: of the session.
        at: Unix seconds at which the first piece was there; 0 before.
    """

    rest: Rest
    path: str
    at: float = 0

    def watch(self) -> None:
        """Returns when a piece of the video has come."""
        while not self.at:
            with suppress(RestError):
                url = self.rest.get(self.path).get("status", {}).get("video", {}).get("url", "")
                if url and (piece := self._first_piece(url)):
                    self.rest.text(piece)
                    self.at = time.time()
            time.sleep(0.05)

    def _first_piece(self, url: str) -> str:
        link = Installation.proxied(url)
        pieces = re.findall(r"^(?!#)(\S+)", self.rest.text(f"{link}index.m3u8"), re.MULTILINE)
        return f"{link}{pieces[0]}" if pieces else ""


def measure(installation: Installation, rest: Rest, place: str, name: str) -> Row:
    """One session; seconds between its stations."""
    applied = time.time()
    viewer = Viewer(rest, f"/apis/avatars.dev/v1alpha1/namespaces/{place}/avatarsessions/{name}")
    watching = threading.Thread(target=viewer.watch)
    installation.session(place, name, text=TEXT)
    watching.start()
    status = installation.until(place, name, "True", "Succeeded")
    succeeded = time.time()
    watching.join()
    [pod] = installation.pods(place, name)
    began, rendered = _stations(installation.shell.kubectl("logs", "-n", place, pod["metadata"]["name"]))
    timings = status["timings"]
    return {
        "apply-to-job": timings["queueSeconds"],
        "job-to-container": timings["startSeconds"],
        "apply-to-process": began - applied,
        "speech": timings["speech"]["first"],
        "first-fragment": timings["firstFrameSeconds"],
        "drawn": timings["render"]["end"],
        "published": timings["totalSeconds"],
        "process-to-receipt": rendered - began,
        "apply-to-viewer": viewer.at - applied,
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
