"""Draws a run: python -m benchmarks.operator.plot docs/benchmarks/RUN.json docs/images/RUN.png."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

COLOURS = {
    "kube-apiserver": "#9aa5b1",
    "etcd": "#cbd2d9",
    "kube-controller-manager": "#616e7c",
    "load": "#e0b040",
    "operator": "#0b6e99",
}
SENT, MADE, FINISHED = "#b5532a", "#0b6e99", "#3c8d2f"


def main(run: Path, picture: Path) -> None:
    """How long each session waited for its Job; sessions over time; who used the processor."""
    found = json.loads(run.read_text())
    rows = found["rows"]
    figure, (waits, counts, cores) = plt.subplots(3, 1, figsize=(8, 7.5), sharex=True, layout="constrained")
    _waits(waits, rows)
    _counts(counts, rows)
    _cores(cores, rows["samples"])
    cores.set_xlabel("seconds")
    for axes in (waits, counts, cores):
        axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
    figure.suptitle(found["command"], fontsize=9)
    figure.savefig(picture, dpi=110)


def _waits(axes: Axes, rows: dict[str, Any]) -> None:
    made, after = zip(*rows["jobs"]["rows"], strict=True)
    axes.plot(made, after, ".", ms=3, color=MADE)
    axes.set_ylabel("session sent to\nJob created, s")


def _counts(axes: Axes, rows: dict[str, Any]) -> None:
    number = range(1, len(rows["sent"]) + 1)
    axes.step(rows["sent"], number, color=SENT, label="sessions sent", where="post")
    axes.step(
        [row[0] for row in rows["jobs"]["rows"]], number, color=MADE, label="Jobs created", where="post"
    )
    at = [sample["at"] for sample in rows["samples"]]
    axes.plot(at, [sample["finished"] for sample in rows["samples"]], color=FINISHED, label="succeeded")
    axes.plot(
        at, [sample["queued"] for sample in rows["samples"]], ":", color="black", label="keys in the queue"
    )
    axes.set_ylabel("sessions")
    axes.legend(fontsize=8)


def _cores(axes: Axes, samples: list[dict[str, Any]]) -> None:
    pairs = list(pairwise(samples))
    use = {
        name: [
            (after["cpu"][name] - before["cpu"][name]) / max(0.1, after["at"] - before["at"])
            for before, after in pairs
        ]
        for name in COLOURS
    }
    axes.stackplot(
        [after["at"] for _, after in pairs], *use.values(), labels=list(use), colors=list(COLOURS.values())
    )
    axes.set_ylabel("cores in use")
    axes.legend(fontsize=8, loc="upper right")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
