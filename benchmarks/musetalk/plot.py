"""Draws a run: python -m benchmarks.musetalk.plot docs/benchmarks/RUN.json docs/images/musetalk-speed.png."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

CURVES = {"ours": "#0b6e99", "reference": "#b5532a"}


def main(run: Path, picture: Path) -> None:
    """Frames a second and memory by batch, ours beside the published loop, in fp16."""
    found = json.loads(run.read_text())
    figure, (speed, memory) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, colour in CURVES.items():
        for what, style in (("model only", "-"), ("with blending", ":")):
            rows = [
                row
                for row in found["rows"]
                if row["what"] == f"{name}, {what}" and row["precision"] == "fp16"
            ]
            batches = [row["batch"] for row in rows]
            rates = [row["frames_per_second"] for row in rows]
            speed.plot(batches, rates, style, color=colour, marker="o", ms=4, label=f"{name}, {what}")
            if what == "model only":
                memory.plot(batches, [row["memory_gib"] for row in rows], color=colour, marker="o", ms=4)
    for axes, label in ((speed, "frames a second"), (memory, "GiB")):
        axes.set(xlabel="batch", ylabel=label, ylim=(0, None))
        axes.grid(alpha=0.3)
    speed.legend(fontsize=8)
    figure.suptitle(f"{found['gpu']}, torch {found['torch']}, fp16, weights {found['weights']}", fontsize=9)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
