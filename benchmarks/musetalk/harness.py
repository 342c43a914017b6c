"""What every measurement needs: networks, inputs, clocks, memory, rows."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avatar_inference.musetalk.audio import empty_encoder
from avatar_inference.musetalk.layout import LATENT_SCALE, ModelLayout
from avatar_inference.musetalk.model import TOKENS, empty_networks

BATCH_MAX = 64
FRAME, BOX = (720, 1280), (480, 140, 800, 500)
"""Rows and columns of the picture blended into, and the face's box in it (left, top, right, bottom)."""


@dataclass
class Bench:
    """What is measured and what was found so far."""

    layout: ModelLayout
    device: torch.device
    seconds: float
    deadline: float
    out: Path | None
    about: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds until the script must end."""
        return self.deadline - time.monotonic()

    def row(self, **row: Any) -> None:
        """Prints a row and writes everything found so far: a run that is cut off keeps what it has."""
        self.rows.append({key: round(v, 6) if isinstance(v, float) else v for key, v in row.items()})
        print(json.dumps(self.rows[-1]), flush=True)
        if self.out:
            self.out.write_text(json.dumps({**self.about, "rows": self.rows}, indent=1) + "\n")

    def sync(self) -> None:
        """Waits for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def networks(bench: Bench) -> tuple[Any, Any, Any]:
    """The same random UNet, VAE and audio encoder each time, float32 on the device, pixels not saturated."""
    torch.manual_seed(0)
    with torch.device(bench.device):
        unet, vae = empty_networks(bench.layout)
        encoder = empty_encoder(bench.layout)
        probe = torch.randn(2, 4, 32, 32)
    with torch.inference_mode():
        spread = vae.decode(probe / LATENT_SCALE).sample.std().item()
    with torch.no_grad():
        vae.decoder.conv_out.weight *= 0.35 / spread
        vae.decoder.conv_out.bias.zero_()
    return unet, vae, encoder


def inputs(bench: Bench, batch: int) -> tuple[Tensor, Tensor]:
    """Random latents [B, 8, 32, 32] and tokens [B, 50, 384], float32 on the device; B up to 64."""
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(BATCH_MAX, 8, 32, 32, generator=generator)[:batch]
    tokens = torch.randn(BATCH_MAX, TOKENS, bench.layout.width, generator=generator)[:batch]
    return latents.to(bench.device), tokens.to(bench.device)


def free(bench: Bench) -> None:
    """Gives memory back and starts counting anew."""
    gc.collect()
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def memory(bench: Bench) -> dict[str, float]:
    """Peaks since `free`, GiB: of live tensors, and of what torch took from the driver."""
    if bench.device.type != "cuda":
        return {}
    peaks = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    return {"memory_gib": peaks[0] / 2**30, "reserved_gib": peaks[1] / 2**30}


def timed(bench: Bench, batch: int, step: Callable[[], object]) -> dict[str, float]:
    """Repeats a step that ends with its result on the host: frames a second, the step's p50 and p99 in ms."""
    step()
    times: list[float] = []
    bench.sync()
    started = time.monotonic()
    while time.monotonic() - started < bench.seconds or len(times) < 5:
        before = time.perf_counter()
        step()
        times.append((time.perf_counter() - before) * 1000)
    tail = sorted(times)[int(len(times) * 0.99)]
    rate = 1000 * batch * len(times) / sum(times)
    return {"frames_per_second": rate, "p50_ms": statistics.median(times), "p99_ms": tail}
