"""How far each stage in half precision is from float32, and a batch of one from a whole batch."""

from __future__ import annotations

from typing import Any

import torch
from benchmarks.musetalk.harness import Bench, free, inputs, networks
from benchmarks.musetalk.ours import our_model
from torch import Tensor

from avatar_inference.musetalk.audio import Ear
from avatar_inference.musetalk.layout import BLOCK_SAMPLES
from avatar_inference.musetalk.model import MouthModel, Painter, Precision
from avatar_inference.musetalk.vae import CropEncoder

STAGES = {"audio encoder": 2e-3, "crop encoder": 5e-3, "unet": 5e-3}
"""Bounds of relative L2 for fp16; the decoder's are 3 levels at most and 0.1 on average."""


def apart(got: Tensor, want: Tensor) -> float:
    """||got - want|| / ||want||."""
    got, want = got.double(), want.double()
    return ((got - want).norm() / want.norm()).item()


def levels(got: Tensor, want: Tensor) -> dict[str, float]:
    """Largest and mean difference in levels of 0..255."""
    difference = (got.int() - want.int()).abs()
    return {"levels_max": difference.max().item(), "levels_mean": difference.float().mean().item()}


@torch.inference_mode()
def deviations(bench: Bench, batch: int) -> None:
    """Rows of every stage."""
    free(bench)
    latents, tokens = inputs(bench, batch)
    generator = torch.Generator().manual_seed(2)
    sound = (torch.randn(2, BLOCK_SAMPLES, generator=generator) * 0.1).to(bench.device)
    pixels = torch.randint(0, 256, (2, 256, 256, 3), generator=generator, dtype=torch.uint8).to(bench.device)
    unet, vae, encoder = networks(bench)
    eye = CropEncoder(vae)
    ear, painter = Ear(encoder).to(bench.device), Painter(unet, vae, bench.layout.width).to(bench.device)
    placed = tokens + painter.positions
    states, seen = ear(sound), eye(pixels)
    clean = torch.cat([painter.unet(latents[i : i + 4], placed[i : i + 4]) for i in range(0, batch, 4)])
    crops = torch.cat([painter.decoder(clean[i : i + 4]) for i in range(0, batch, 4)])
    alone = torch.cat([painter.unet(latents[i : i + 1], placed[i : i + 1]) for i in range(batch)])
    bench.row(what="unet, batch 1 against 4", precision="fp32", relative_l2=apart(alone, clean))
    del unet, vae, encoder, ear, painter
    for precision in (Precision.FP16, Precision.BF16):
        told = {"precision": precision.value, "batch": batch}
        eye.to(precision.dtype)
        bench.row(
            what="crop encoder", precision=precision.value, batch=2, relative_l2=apart(eye(pixels), seen)
        )
        model, ear = our_model(bench, precision)
        found = apart(ear(sound), states)
        bench.row(what="audio encoder", precision=precision.value, batch=2, relative_l2=found)
        _networks(bench, model, told, latents, placed, clean, crops)
        _whole(bench, model, told, latents, tokens, crops)
        del model, ear
        free(bench)


def _networks(
    bench: Bench, model: MouthModel, told: dict[str, Any], latents: Tensor, placed: Tensor, clean: Tensor,
    crops: Tensor,
) -> None:  # fmt: skip
    """UNet and decoder, each from the same inputs as in float32."""
    painter, dtype = model.painter, model.dtype
    latents, placed = latents.to(dtype), placed.to(dtype)
    whole = painter.unet(latents, placed)
    ones = torch.cat([painter.unet(latents[i : i + 1], placed[i : i + 1]) for i in range(len(latents))])
    bench.row(what="unet", **told, relative_l2=apart(whole, clean))
    bench.row(what=f"unet, batch 1 against {len(latents)}", **told, relative_l2=apart(ones, whole))
    bench.row(what="decoder", **told, **levels(painter.decoder(clean.to(dtype)), crops))


def _whole(
    bench: Bench, model: MouthModel, told: dict[str, Any], latents: Tensor, tokens: Tensor, crops: Tensor
) -> None:
    """Everything that draws, as the engine calls it."""
    drawn = model.draw(latents, tokens).clone()
    ones = [model.draw(latents[i : i + 1], tokens[i : i + 1]).clone() for i in range(len(latents))]
    bench.row(what="whole", **told, **levels(drawn, crops))
    bench.row(what=f"whole, batch 1 against {len(latents)}", **told, **levels(torch.cat(ones), drawn))
