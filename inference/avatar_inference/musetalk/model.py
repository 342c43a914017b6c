"""UNet and VAE on a device: latents and tokens in, crops out, at the speed the device allows.

On a GPU small batches are bound by the launching of two thousand kernels; so each batch size is recorded once
as a CUDA graph and replayed. Convolutions run in channels-last, the layout of the tensor cores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from avatar_inference.musetalk.audio import positions
from avatar_inference.musetalk.layout import LATENT_SIDE, ModelLayout
from avatar_inference.musetalk.unet import OneStepUNet
from avatar_inference.musetalk.vae import CropDecoder

TOKENS = 50


class Precision(StrEnum):
    """What weights and activations are held in."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"

    @property
    def dtype(self) -> torch.dtype:
        """torch's name for it."""
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self.value]


def empty_unet(layout: ModelLayout) -> UNet2DConditionModel:
    """The UNet of a layout in float32 on the current device, freshly initialised by the torch seed."""
    return UNet2DConditionModel(**layout.unet()).eval()


def empty_vae(layout: ModelLayout) -> AutoencoderKL:
    """The VAE of a layout, likewise."""
    return AutoencoderKL(**layout.vae()).eval()


def empty_networks(layout: ModelLayout) -> tuple[UNet2DConditionModel, AutoencoderKL]:
    """UNet and VAE of a layout, likewise."""
    return empty_unet(layout), empty_vae(layout)


class Painter(nn.Module):
    """UNet and VAE decoder as one function.

    Args:
        unet: weights loaded, float32; taken over.
        vae: weights loaded, float32; its decoder is taken over.
        width: of a token.
    """

    positions: Tensor

    def __init__(self, unet: UNet2DConditionModel, vae: AutoencoderKL, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("positions", positions(TOKENS, width))
        self.unet = OneStepUNet(unet)
        self.decoder = CropDecoder(vae)

    def forward(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """[B, 8, 32, 32] and [B, 50, width] in the model's dtype to uint8 RGB [B, 256, 256, 3].

        The tokens' positions are added here, in that dtype.
        """
        return cast("Tensor", self.decoder(self.unet(latents, tokens + self.positions)))


@dataclass(frozen=True, slots=True)
class _Recording:
    """A CUDA graph and the tensors it reads and writes."""

    graph: torch.cuda.CUDAGraph
    latents: Tensor
    tokens: Tensor
    crops: Tensor


class MouthModel:
    """A `Painter` on a device. On a GPU its norms are `fused` and every batch size is a recorded CUDA graph.

    Args:
        painter: in float32; moved and cast in place.
        device: "cpu" or a CUDA device.
        precision: of weights and activations.
        plain: on a GPU, leave norms and launches to torch; for comparison.
    """

    def __init__(
        self, painter: Painter, device: torch.device, precision: Precision, *, plain: bool = False
    ) -> None:
        self.device = device
        self.dtype = precision.dtype
        self.width = painter.width
        self._recorded = device.type == "cuda" and not plain
        if self._recorded:
            from avatar_inference.musetalk.fused import fuse

            fuse(painter)
        self.painter = painter.to(device, self.dtype).to(memory_format=torch.channels_last)
        self._recordings: dict[int, _Recording] = {}
        self._pool = torch.cuda.graph_pool_handle() if self._recorded else None

    @torch.inference_mode()
    def draw(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """Draws a batch.

        Args:
            latents: [B, 8, 32, 32] on the device; see `OneStepUNet.forward`.
            tokens: [B, 50, width] on the device, without positions.

        Returns:
            uint8 RGB [B, 256, 256, 3] on the device; the next call may overwrite it.
        """
        latents = latents.to(self.dtype, memory_format=torch.channels_last)
        tokens = tokens.to(self.dtype)
        if not self._recorded:
            return cast("Tensor", self.painter(latents, tokens))
        recording = self._recordings.get(len(latents)) or self._record(len(latents))
        recording.latents.copy_(latents)
        recording.tokens.copy_(tokens)
        recording.graph.replay()
        return recording.crops

    def warm_up(self, batches: Iterable[int]) -> None:
        """Draws once at each batch size, the largest first, so that the smaller ones live in its memory."""
        for batch in sorted(batches, reverse=True):
            self.draw(*self._blank(batch))

    def _blank(self, batch: int) -> tuple[Tensor, Tensor]:
        latents = torch.zeros(batch, 8, LATENT_SIDE, LATENT_SIDE, dtype=self.dtype, device=self.device)
        tokens = torch.zeros(batch, TOKENS, self.width, dtype=self.dtype, device=self.device)
        return latents.to(memory_format=torch.channels_last), tokens

    def _record(self, batch: int) -> _Recording:
        latents, tokens = self._blank(batch)
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # libraries choose their kernels and allocate before the recording
                self.painter(latents, tokens)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            crops = self.painter(latents, tokens)
        self._recordings[batch] = _Recording(graph, latents, tokens, crops)
        return self._recordings[batch]
