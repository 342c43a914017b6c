"""The published real-time loop, with random weights."""

from __future__ import annotations

import queue
import threading
import time

import cv2
import numpy as np
import torch
from benchmarks.musetalk.harness import BOX, FRAME, Bench, free, inputs, memory, networks, timed
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from avatar_inference.musetalk.audio import positions
from avatar_inference.musetalk.layout import LATENT_SCALE
from avatar_inference.musetalk.model import TOKENS, Precision

Bytes = NDArray[np.uint8]


class Reference:
    """UNet with its time embedding, whole VAE, whole audio model, all `.half()`."""

    def __init__(self, bench: Bench, precision: Precision) -> None:
        unet, vae, encoder = networks(bench)
        self.unet, self.vae, self.encoder = (each.to(precision.dtype) for each in (unet, vae, encoder))
        self.table = positions(TOKENS, bench.layout.width).to(bench.device, precision.dtype)
        self.time = torch.tensor([0], device=bench.device)

    @torch.no_grad()
    def draw(self, latents: list[Tensor], tokens: list[Tensor]) -> Bytes:
        """Lists of [1, 8, 32, 32] and [50, 384] to uint8 BGR [B, 256, 256, 3] on the host."""
        sound = torch.stack(tokens) + self.table
        clean = self.unet(torch.cat(latents), self.time, encoder_hidden_states=sound).sample
        picture = self.vae.decode((1 / LATENT_SCALE) * clean).sample
        picture = (picture / 2 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).float().numpy()
        drawn: Bytes = (picture * 255).round().astype("uint8")[..., ::-1]
        return drawn


def blend(picture: Bytes, face: Bytes, mask: Bytes) -> Bytes:
    """One frame as the published script blends it: resized by OpenCV, pasted twice by Pillow."""
    left, top, right, bottom = BOX
    half = len(mask) // 2
    x, y = (left + right) // 2 - half, (top + bottom) // 2 - half
    body = Image.fromarray(picture.copy()[:, :, ::-1])
    stretched = Image.fromarray(cv2.resize(face, (right - left, bottom - top))[:, :, ::-1])
    large = body.crop((x, y, x + 2 * half, y + 2 * half))
    large.paste(stretched, (left - x, top - y, right - x, bottom - y))
    body.paste(large, (x, y), Image.fromarray(mask).convert("L"))
    return np.array(body)[:, :, ::-1]


def square_mask() -> Bytes:
    """A mask of the square about the face, a mouth's worth of it above 0."""
    left, top, right, bottom = BOX
    half = int((max(right - left, bottom - top) // 2) * 1.5)
    mask = np.zeros((2 * half, 2 * half), np.uint8)
    mask[half : half + 150, half - 120 : half + 120] = 200
    return mask


def reference_speed(bench: Bench, precision: Precision, batches: list[int]) -> None:
    """Rows of the loop, alone and with its blending thread."""
    free(bench)
    reference = Reference(bench, precision)
    for batch in batches:
        free(bench)
        latents, tokens = (each.to(precision.dtype) for each in inputs(bench, batch))
        rows = [row[None] for row in latents], list(tokens)
        told = {"precision": precision.value, "batch": batch}
        found = timed(bench, batch, lambda rows=rows: reference.draw(*rows))
        bench.row(what="reference, model only", **told, **found, **memory(bench))
        rate = _with_blending(bench, reference, rows)
        bench.row(what="reference, with blending", **told, frames_per_second=rate)


def _with_blending(bench: Bench, reference: Reference, rows: tuple[list[Tensor], list[Tensor]]) -> float:
    """Frames a second until the last one is blended."""
    picture, mask = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), np.uint8), square_mask()
    frames: queue.Queue[Bytes | None] = queue.Queue()

    def work() -> None:
        while (face := frames.get()) is not None:
            blend(picture, face, mask)

    worker = threading.Thread(target=work)
    started, count = time.monotonic(), 0
    worker.start()
    while time.monotonic() - started < bench.seconds:
        for face in reference.draw(*rows):
            frames.put(face)
            count += 1
    frames.put(None)
    worker.join()
    return count / (time.monotonic() - started)
