"""Runs what the command line asks for; the table comes last."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import benchmarks.musetalk
import diffusers
import torch
import transformers
from benchmarks.musetalk.deviations import deviations
from benchmarks.musetalk.harness import BOX, FRAME, Bench, free
from benchmarks.musetalk.ours import audio_speed, our_speed, profile
from benchmarks.musetalk.reference import reference_speed

from avatar_inference.musetalk.layout import MUSETALK, TINY
from avatar_inference.musetalk.model import Precision


def surroundings(device: torch.device, weights: str) -> dict[str, Any]:
    """Where this is measured."""
    found = {
        "command": " ".join(["python -m benchmarks.musetalk", *sys.argv[1:]]),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "python": sys.version.split()[0],
        "weights": f"random, {weights}",
        "picture": f"{FRAME[1]}x{FRAME[0]}, face {BOX[2] - BOX[0]}x{BOX[3] - BOX[1]}",
    }
    if device.type == "cuda":
        ask = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        answer = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()[0]
        name, driver = answer.split(",")
        found |= {"gpu": name.strip(), "driver": driver.strip(), "cuda": str(torch.version.cuda)}
    return found


def steps(bench: Bench, batches: list[int]) -> dict[str, Callable[[], None]]:
    """What is measured, by name, in order."""
    found: dict[str, Callable[[], None]] = {
        "reference": lambda: reference_speed(bench, Precision.FP16, batches),
        "plain": lambda: our_speed(bench, "plain", Precision.FP16, batches),
        "ours": lambda: our_speed(bench, "ours", Precision.FP16, batches),
        "ours in bf16": lambda: our_speed(bench, "ours", Precision.BF16, batches[:4]),
        "deviations": lambda: deviations(bench, min(8, max(batches))),
        "audio": lambda: audio_speed(bench, Precision.FP16),
    }
    if bench.device.type == "cuda":
        found["profile"] = lambda: profile(bench, 8)
    return found


def table(bench: Bench) -> None:
    """Frames a second by batch, beside the reference's."""
    rates = {
        (row["what"], row["precision"], row["batch"]): row for row in bench.rows if "frames_per_second" in row
    }
    print(f"\n{'what':<26}{'':<6}{'batch':>6}{'frames/s':>10}{'of reference':>14}{'p99 ms':>9}{'GiB':>7}")
    for (what, precision, batch), row in rates.items():
        base = rates.get((f"reference, {what.split(', ')[1]}", "fp16", batch))
        times = f"{row['frames_per_second'] / base['frames_per_second']:.2f}x" if base else ""
        gib = f"{row['memory_gib']:.2f}" if "memory_gib" in row else ""
        tail = f"{row['p99_ms']:.1f}" if "p99_ms" in row else ""
        rate = f"{row['frames_per_second']:.1f}"
        print(f"{what:<26}{precision:<6}{batch:>6}{rate:>10}{times:>14}{tail:>9}{gib:>7}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=benchmarks.musetalk.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="JSON to write; rewritten after every row")
    parser.add_argument("--layout", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", default="1,2,4,8,20,32")
    parser.add_argument("--only", default="", help="names of steps, with commas")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--budget", type=float, default=420, help="seconds after which nothing new begins")
    args = parser.parse_args()
    device = torch.device(args.device)
    layout = MUSETALK if args.layout == "full" else TINY
    weights = "full size" if args.layout == "full" else "tiny"
    bench = Bench(
        layout, device, args.seconds, time.monotonic() + args.budget, args.out, surroundings(device, weights)
    )
    print(json.dumps(bench.about), flush=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    found = steps(bench, [int(batch) for batch in args.batches.split(",")])
    for name in args.only.split(",") if args.only else found:
        if bench.left < 0:
            bench.row(what=name, skipped="no time left")
            continue
        try:
            found[name]()
        except Exception as error:  # a step that fails must not take the others' rows with it
            bench.row(what=name, failed=f"{type(error).__name__}: {error}"[:500])
        free(bench)
    table(bench)


if __name__ == "__main__":
    main()
