"""Our model as the engine runs it: speed and memory, alone and with the server's compositor."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import torch
from benchmarks.musetalk.harness import BOX, FRAME, Bench, free, inputs, memory, networks, timed
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiled

from avatar_inference.bundle import Box
from avatar_inference.compositor import paste
from avatar_inference.musetalk.audio import Ear
from avatar_inference.musetalk.layout import BLOCK_SAMPLES
from avatar_inference.musetalk.model import MouthModel, Painter, Precision

PASTERS = 4
"""Threads that blend."""


def our_model(bench: Bench, precision: Precision, *, plain: bool = False) -> tuple[MouthModel, Ear]:
    """Model and audio encoder as an engine holds them."""
    unet, vae, encoder = networks(bench)
    model = MouthModel(Painter(unet, vae, bench.layout.width), bench.device, precision, plain=plain)
    ear = Ear(encoder).to(bench.device)
    ear.encoder.to(precision.dtype)
    return model, ear


def our_speed(bench: Bench, what: str, precision: Precision, batches: list[int]) -> None:
    """Rows of the model alone, each batch size the only one recorded so far but for smaller ones."""
    free(bench)
    model, _ear = our_model(bench, precision, plain=what == "plain")
    for batch in batches:
        free(bench)
        told = {"precision": precision.value, "batch": batch}
        latents, tokens = (each.to(precision.dtype) for each in inputs(bench, batch))

        def draw(latents: torch.Tensor = latents, tokens: torch.Tensor = tokens) -> NDArray[np.uint8]:
            return model.draw(latents, tokens).cpu().numpy()

        started = time.monotonic()
        draw()
        first = time.monotonic() - started
        found = timed(bench, batch, draw)
        bench.row(what=f"{what}, model only", **told, **found, **memory(bench), first_seconds=first)
        bench.row(what=f"{what}, with blending", **told, frames_per_second=_with_paste(bench, batch, draw))


def _with_paste(bench: Bench, batch: int, draw: Callable[[], NDArray[np.uint8]]) -> float:
    """Frames a second with stretching and the compositor in threads beside, the last ones awaited."""
    picture = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), np.uint8)
    box = Box(BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1])
    mask = np.zeros((box.height, box.width), np.uint8)
    mask[box.height // 2 : box.height // 2 + 150, 40:280] = 200

    def put(crop: NDArray[np.uint8]) -> None:
        face = np.asarray(cv2.resize(crop, (box.width, box.height)), np.uint8)
        paste(picture, face, box, mask)

    started, count = time.monotonic(), 0
    with ThreadPoolExecutor(PASTERS) as pool:
        waiting: list[Any] = []
        while time.monotonic() - started < bench.seconds:
            crops = draw()
            for each in waiting:
                each.result()
            waiting = [pool.submit(put, crop) for crop in crops]
            count += batch
    return count / (time.monotonic() - started)


def audio_speed(bench: Bench, precision: Precision) -> None:
    """Rows: 30 s blocks through spectrum and encoder, by blocks at once."""
    free(bench)
    ear = Ear(networks(bench)[2]).to(bench.device)
    ear.encoder.to(precision.dtype)
    free(bench)
    for batch in (1, 2, 4, 8):
        sound = torch.randn(batch, BLOCK_SAMPLES, device=bench.device) * 0.1
        found = timed(bench, batch, lambda sound=sound: ear(sound)[:, -1, -1, -1].cpu())
        found["blocks_per_second"] = found.pop("frames_per_second")
        bench.row(what="audio encoder", precision=precision.value, batch=batch, **found, **memory(bench))


def profile(bench: Bench, batch: int) -> None:
    """The kernels that take most time, as rows."""
    model, _ = our_model(bench, Precision.FP16)
    latents, tokens = inputs(bench, batch)
    model.draw(latents, tokens)
    with profiled(activities=[ProfilerActivity.CUDA]) as found:
        model.draw(latents, tokens)
        bench.sync()
    events = sorted(found.key_averages(), key=lambda event: -event.self_device_time_total)
    total = sum(event.self_device_time_total for event in events) or 1
    for event in events[:14]:
        share = event.self_device_time_total / total
        bench.row(what=f"profile, batch {batch}", kernel=event.key[:90], calls=event.count, share=share)
