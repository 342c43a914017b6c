"""MuseTalk on one GPU, random full-size weights: how far half precision is from float32, and how fast it draws.

    python -m benchmarks.musetalk --out musetalk.json                 # everything that fits into 7 minutes
    python -m benchmarks.musetalk --variants reference,fused          # some
    python -m benchmarks.musetalk --layout tiny --device cpu --seconds 0.2 --batches 1,2   # does the script run

Needs torch, diffusers, transformers, numpy and, for blending, OpenCV and Pillow; nothing is installed, downloaded
or started. `reference` draws as the published real-time script does: weights `.half()`, batches stacked and
concatenated, pictures to the host as float32, resized and blended on the CPU by one thread beside.
"""

from __future__ import annotations

import argparse
import gc
import json
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

for room in ("inference", "core"):  # where the project is not installed
    sys.path.append(str(Path(__file__).resolve().parents[1] / room))

import numpy as np
import torch
from torch import Tensor

from avatar_inference.musetalk import layout as layouts
from avatar_inference.musetalk.audio import Ear, empty_encoder, positions
from avatar_inference.musetalk.layout import BLOCK_SAMPLES, LATENT_SCALE, ModelLayout
from avatar_inference.musetalk.model import MouthModel, Painter, Precision, empty_networks

VARIANTS = ("reference", "eager", "recorded", "fused", "compiled")
"""Reference; channels-last; that with CUDA graphs; that with our own norms; that with torch.compile instead."""
FRAME, BOX = (720, 1280), (480, 140, 800, 500)
"""Rows and columns of the picture blended into, and the face's box in it (left, top, right, bottom)."""
COMPILE_SECONDS = 150
"""Nothing interrupts a compilation, so none begins with less time left."""


@dataclass
class Bench:
    """What is measured and what has been found."""

    layout: ModelLayout
    device: torch.device
    seconds: float
    deadline: float
    out: Path | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds until the script must end."""
        return self.deadline - time.monotonic()

    def row(self, **row: Any) -> None:
        """Prints a row and writes everything found so far."""
        row = {key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()}
        self.rows.append(row)
        print(json.dumps(row), flush=True)
        if self.out:
            self.out.write_text(json.dumps({**self.report, "rows": self.rows}, indent=1) + "\n")

    def sync(self) -> None:
        """Waits for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def networks(bench: Bench) -> tuple[Any, Any, Any]:
    """The same random UNet, VAE and audio encoder each time, float32 on the device, pictures not saturated."""
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
    """Random latents [B, 8, 32, 32] and tokens [B, 50, 384] with positions, float32 on the device."""
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(64, 8, 32, 32, generator=generator)[:batch]
    tokens = torch.randn(64, 50, bench.layout.width, generator=generator)[:batch]
    return latents.to(bench.device), (tokens + positions(50, bench.layout.width)).to(bench.device)


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
    peaks = {
        "memory_gib": torch.cuda.max_memory_allocated(),
        "reserved_gib": torch.cuda.max_memory_reserved(),
    }
    return {name: value / 2**30 for name, value in peaks.items()}


def timed(bench: Bench, batch: int, step: Callable[[], object]) -> dict[str, float]:
    """Repeats a step that ends with its result on the host; frames a second and the step's p50 and p95 in ms."""
    step()
    times: list[float] = []
    bench.sync()
    started = time.monotonic()
    while time.monotonic() - started < bench.seconds or len(times) < 5:
        before = time.perf_counter()
        step()
        times.append((time.perf_counter() - before) * 1000)
    tail = sorted(times)[int(len(times) * 0.95)]
    rate = 1000 * batch * len(times) / sum(times)
    return {"frames_per_second": rate, "p50_ms": statistics.median(times), "p95_ms": tail}


class Reference:
    """The published loop: UNet with its time embedding, whole VAE, whole audio model, all `.half()`."""

    def __init__(self, bench: Bench, precision: Precision) -> None:
        from transformers import WhisperConfig, WhisperModel

        unet, vae, _ = networks(bench)
        self.unet = unet.to(precision.dtype)
        self.vae = vae.to(precision.dtype)
        self.whisper = WhisperModel(WhisperConfig(**bench.layout.whisper())).to(bench.device, precision.dtype)
        self.table = positions(50, bench.layout.width).to(bench.device, precision.dtype)
        self.time = torch.tensor([0], device=bench.device)

    @torch.no_grad()
    def draw(self, latents: list[Tensor], tokens: list[Tensor]) -> np.ndarray:
        """Lists of [1, 8, 32, 32] and [50, 384] to uint8 BGR [B, 256, 256, 3] on the host."""
        sound = torch.stack(tokens) + self.table
        clean = self.unet(torch.cat(latents), self.time, encoder_hidden_states=sound).sample
        picture = self.vae.decode((1 / LATENT_SCALE) * clean).sample
        picture = (picture / 2 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).float().numpy()
        return (picture * 255).round().astype("uint8")[..., ::-1]


def reference_blend(picture: np.ndarray, face: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One frame as the published script blends it: resized by OpenCV, pasted twice by Pillow."""
    import cv2
    from PIL import Image

    left, top, right, bottom = BOX
    half = int((max(right - left, bottom - top) // 2) * 1.5)
    x, y = (left + right) // 2 - half, (top + bottom) // 2 - half
    body = Image.fromarray(picture.copy()[:, :, ::-1])
    stretched = Image.fromarray(cv2.resize(face, (right - left, bottom - top))[:, :, ::-1])
    large = body.crop((x, y, x + 2 * half, y + 2 * half))
    large.paste(stretched, (left - x, top - y, right - x, bottom - y))
    body.paste(large, (x, y), Image.fromarray(mask).convert("L"))
    return np.array(body)[:, :, ::-1]


def reference_speed(bench: Bench, precision: Precision, batches: list[int]) -> None:
    """Rows of the reference loop, with and without blending."""
    free(bench)
    reference = Reference(bench, precision)
    picture = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), np.uint8)
    half = int((max(BOX[2] - BOX[0], BOX[3] - BOX[1]) // 2) * 1.5)
    mask = np.zeros((2 * half, 2 * half), np.uint8)
    mask[half : half + 150, half - 120 : half + 120] = 200
    for batch in batches:
        free(bench)
        latents, tokens = (each.to(precision.dtype) for each in inputs(bench, batch))
        apart = [row[None] for row in latents], list(tokens)
        found = timed(bench, batch, lambda: reference.draw(*apart))
        told = {"precision": precision.value, "batch": batch}
        bench.row(what="reference, model only", **told, **found, **memory(bench))
        frames: queue.Queue[np.ndarray | None] = queue.Queue()

        def blend(frames: queue.Queue[np.ndarray | None] = frames) -> None:
            while (face := frames.get()) is not None:
                reference_blend(picture, face, mask)

        worker = threading.Thread(target=blend)
        started, count = time.monotonic(), 0
        worker.start()
        while time.monotonic() - started < bench.seconds:
            for face in reference.draw(*apart):
                frames.put(face)
                count += 1
        frames.put(None)
        worker.join()
        rate = count / (time.monotonic() - started)
        bench.row(what="reference, with blending", **told, frames_per_second=rate)


def our_model(bench: Bench, variant: str, precision: Precision) -> tuple[MouthModel, Ear]:
    """Our model and audio encoder as an engine would hold them."""
    unet, vae, encoder = networks(bench)
    recorded = bench.device.type == "cuda" and variant != "eager"
    painter = Painter(unet, vae, bench.layout.width)
    del unet, vae
    model = MouthModel(
        painter,
        bench.device,
        precision,
        recorded=recorded,
        fused=variant == "fused",
        compiled=variant == "compiled",
    )
    ear = Ear(encoder).to(bench.device)
    ear.encoder.to(precision.dtype)
    return model, ear


def our_speed(bench: Bench, variant: str, precision: Precision, batches: list[int]) -> None:
    """Rows of one of our variants, model only and end to end (the compositor in four threads beside)."""
    free(bench)
    model, _ear = our_model(bench, variant, precision)
    told: dict[str, Any] = {"precision": precision.value}
    for batch in batches:
        if bench.left < 15:
            bench.row(what=f"{variant}, model only", **told, batch=batch, skipped="no time left")
            continue
        free(bench)
        latents, tokens = (each.to(precision.dtype) for each in inputs(bench, batch))
        host = torch.empty(batch, 256, 256, 3, dtype=torch.uint8, pin_memory=bench.device.type == "cuda")

        def draw(latents: Tensor = latents, tokens: Tensor = tokens, host: Tensor = host) -> np.ndarray:
            host.copy_(model.draw(latents, tokens), non_blocking=True)
            bench.sync()
            return host.numpy()

        started = time.monotonic()
        draw()
        first = time.monotonic() - started
        found = timed(bench, batch, draw)
        bench.row(
            what=f"{variant}, model only", **told, batch=batch, first_seconds=first, **found, **memory(bench)
        )
        with_paste(bench, variant, told, batch, draw)
    del model
    free(bench)


def with_paste(
    bench: Bench, variant: str, told: dict[str, Any], batch: int, draw: Callable[[], np.ndarray]
) -> None:
    """The row with the server's compositor."""
    from avatar_inference.bundle import Box
    from avatar_inference.compositor import paste

    picture = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), np.uint8)
    box = Box(BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1])
    mask = np.zeros((box.height, box.width), np.uint8)
    mask[box.height // 2 : box.height // 2 + 150, 40:280] = 200
    started, count = time.monotonic(), 0
    with ThreadPoolExecutor(4) as pool:
        waiting: list[Any] = []
        while time.monotonic() - started < bench.seconds:
            crops = draw().copy()
            for each in waiting:
                each.result()
            waiting = [pool.submit(paste, picture, crop, box, mask) for crop in crops]
            count += batch
    rate = count / (time.monotonic() - started)
    bench.row(what=f"{variant}, with blending", **told, batch=batch, frames_per_second=rate)


def apart(got: Tensor, want: Tensor) -> float:
    """||got - want|| / ||want||."""
    got, want = got.double(), want.double()
    return ((got - want).norm() / want.norm()).item()


def levels(got: Tensor, want: Tensor) -> dict[str, float]:
    """Largest and mean difference in levels of 0..255."""
    difference = (got.int() - want.int()).abs()
    return {"levels_max": difference.max().item(), "levels_mean": difference.float().mean().item()}


@torch.inference_mode()
def deviations(bench: Bench, batch: int, variants: list[str]) -> None:
    """Rows: each stage in half precision against float32, and batches of one against a whole batch."""
    free(bench)
    latents, tokens = inputs(bench, batch)
    sound = (torch.randn(2, BLOCK_SAMPLES, generator=torch.Generator().manual_seed(2)) * 0.1).to(bench.device)
    unet, vae, encoder = networks(bench)
    ear, painter = Ear(encoder).to(bench.device), Painter(unet, vae, bench.layout.width)
    states = ear(sound)
    clean = torch.cat([painter.unet(latents[i : i + 4], tokens[i : i + 4]) for i in range(0, batch, 4)])
    crops = torch.cat([painter.decoder(clean[i : i + 4]) for i in range(0, batch, 4)])
    alone = torch.cat([painter.unet(latents[i : i + 1], tokens[i : i + 1]) for i in range(batch)])
    bench.row(what="unet, batch 1 against 4", precision="fp32", relative_l2=apart(alone, clean))
    del unet, vae, encoder, ear, painter
    for precision in (Precision.FP16, Precision.BF16):
        told: dict[str, Any] = {"precision": precision.value}
        for variant in variants:
            free(bench)
            model, ear = our_model(bench, variant, precision)
            cast = [each.to(precision.dtype) for each in (latents, tokens, clean)]
            whole = model._painter.unet(cast[0], cast[1])
            single = torch.cat([model._painter.unet(cast[0][i : i + 1], cast[1][i : i + 1]) for i in range(batch)])
            if variant == variants[0]:
                bench.row(what="audio encoder", **told, batch=2, relative_l2=apart(ear(sound), states))
            bench.row(what=f"unet, {variant}", **told, batch=batch, relative_l2=apart(whole, clean))
            bench.row(what=f"unet, {variant}, batch 1 against {batch}", **told, relative_l2=apart(single, whole))
            decoded = model._painter.decoder(cast[2])
            bench.row(what=f"decoder, {variant}", **told, batch=batch, **levels(decoded, crops))
            drawn = model.draw(latents, tokens).clone()
            bench.row(what=f"whole, {variant}", **told, batch=batch, **levels(drawn, crops))
            ones = torch.cat([model.draw(latents[i : i + 1], tokens[i : i + 1]).clone() for i in range(batch)])
            bench.row(what=f"whole, {variant}, batch 1 against {batch}", **told, **levels(ones, drawn))
            del model, ear


def audio_speed(bench: Bench, precision: Precision) -> None:
    """Rows: 30 s blocks through spectrum and encoder, by blocks at once."""
    free(bench)
    ear = Ear(networks(bench)[2]).to(bench.device)
    ear.encoder.to(precision.dtype)
    for batch in (1, 2, 4, 8):
        sound = torch.randn(batch, BLOCK_SAMPLES, device=bench.device) * 0.1
        found = timed(bench, batch, lambda sound=sound: ear(sound)[:, -1, -1, -1].cpu())
        found["blocks_per_second"] = found.pop("frames_per_second")
        bench.row(what="audio encoder", precision=precision.value, batch=batch, **found, **memory(bench))


def profile(bench: Bench, variant: str, batch: int) -> None:
    """The kernels that take most time, as rows."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    model, _ = our_model(bench, variant, Precision.FP16)
    latents, tokens = inputs(bench, batch)
    model.draw(latents, tokens)
    with profiled(activities=[ProfilerActivity.CUDA]) as found:
        model.draw(latents, tokens)
        bench.sync()
    events = sorted(found.key_averages(), key=lambda event: -event.self_device_time_total)
    total = sum(event.self_device_time_total for event in events) or 1
    for event in events[:14]:
        share = event.self_device_time_total / total
        bench.row(what=f"profile, {variant}, batch {batch}", kernel=event.key[:90], calls=event.count, share=share)


def surroundings(bench: Bench) -> dict[str, Any]:
    """Where this was measured."""
    import diffusers
    import transformers

    found = {
        "command": " ".join(["python -m benchmarks.musetalk", *sys.argv[1:]]),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "python": sys.version.split()[0],
        "weights": "random, full size" if bench.layout is layouts.MUSETALK else "random, tiny",
        "picture": f"{FRAME[1]}x{FRAME[0]}, face {BOX[2] - BOX[0]}x{BOX[3] - BOX[1]}",
    }
    if bench.device.type == "cuda":
        ask = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        name, driver = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split(",")[:2]  # noqa: S603
        found |= {"gpu": name.strip(), "driver": driver.split("\n")[0].strip(), "cuda": torch.version.cuda}
    return found


def compiled_speed(bench: Bench, batches: list[int]) -> None:
    """Rows with torch.compile, largest batch first and 1 last, since one program serves all above 1."""
    if bench.left < COMPILE_SECONDS:
        bench.row(what="compiled", skipped=f"less than {COMPILE_SECONDS} s left")
        return
    torch._dynamo.reset()
    our_speed(bench, "compiled", Precision.FP16, sorted(batches, key=lambda batch: (batch == 1, -batch)))


def table(bench: Bench) -> None:
    """Frames a second by variant and batch."""
    rates = {(row["what"], row["precision"], row["batch"]): row for row in bench.rows if "frames_per_second" in row}
    print(f"\n{'what':<28}{'':<6}{'batch':>6}{'frames/s':>10}{'of reference':>14}{'GiB':>7}")
    for (what, precision, batch), row in rates.items():
        base = rates.get((f"reference, {what.split(', ')[1]}", "fp16", batch))
        times = f"{row['frames_per_second'] / base['frames_per_second']:.2f}x" if base else ""
        gib = f"{row['memory_gib']:.2f}" if "memory_gib" in row else ""
        print(f"{what:<28}{precision:<6}{batch:>6}{row['frames_per_second']:>10.1f}{times:>14}{gib:>7}")


def main() -> None:
    """Runs what the command line asks for; the table comes last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON to write; rewritten after every row")
    parser.add_argument("--layout", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", default="1,2,4,8,20,32")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--budget", type=float, default=440, help="seconds after which nothing new begins")
    args = parser.parse_args()
    layout = layouts.MUSETALK if args.layout == "full" else layouts.TINY
    bench = Bench(layout, torch.device(args.device), args.seconds, time.monotonic() + args.budget, args.out)
    bench.report = surroundings(bench)
    print(json.dumps(bench.report), flush=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    batches = [int(batch) for batch in args.batches.split(",")]
    wanted = args.variants.split(",")
    plain = [variant for variant in ("recorded", "fused") if variant in wanted]
    steps: list[tuple[str, Callable[[], None]]] = []
    if "reference" in wanted:
        steps.append(("reference", lambda: reference_speed(bench, Precision.FP16, batches)))
    for variant in ("eager", *plain):
        if variant in wanted:
            steps.append((variant, lambda v=variant: our_speed(bench, v, Precision.FP16, batches)))
    steps.append(("deviations", lambda: deviations(bench, min(8, max(batches)), plain or ["eager"])))
    steps.append(("audio", lambda: audio_speed(bench, Precision.FP16)))
    if bench.device.type == "cuda":
        steps += [(f"profile {v}", lambda v=v: profile(bench, v, 8)) for v in plain]
    if plain:
        steps.append((f"{plain[-1]} bf16", lambda: our_speed(bench, plain[-1], Precision.BF16, [2, 8])))
    if "compiled" in wanted:
        steps.append(("compiled", lambda: compiled_speed(bench, batches)))
    for name, step in steps:
        if bench.left < 15:
            bench.row(what=name, skipped="no time left")
            continue
        try:
            step()
        except Exception as error:  # a variant that fails must not take the others' rows with it
            bench.row(what=name, failed=f"{type(error).__name__}: {error}"[:500])
        free(bench)
    table(bench)


if __name__ == "__main__":
    main()
