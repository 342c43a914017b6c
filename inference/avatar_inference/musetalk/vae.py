"""The VAE: crops to latents when an avatar is prepared, latents to crops when it speaks."""

from __future__ import annotations

from typing import cast

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from avatar_inference.musetalk.layout import LATENT_SCALE


class CropEncoder(nn.Module):
    """Crops to what the UNet looks at.

    Args:
        vae: weights loaded; only its encoding half is kept.
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.encoder = vae.encoder
        self.quant_conv = vae.quant_conv

    @torch.inference_mode()
    def forward(self, crops: Tensor) -> Tensor:
        """Encodes crops twice: with the lower half black, and whole.

        The mode of the latent's distribution is taken, as in training; a sample would differ from run to run.

        Args:
            crops: uint8 RGB [B, 256, 256, 3].

        Returns:
            [B, 8, 32, 32] in the VAE's dtype, scaled by 0.18215: masked first, then whole.
        """
        whole = normalize(crops)
        return torch.cat([self._encode(masked(whole)), self._encode(whole)], dim=1)

    def _encode(self, pixels: Tensor) -> Tensor:
        moments = self.quant_conv(self.encoder(pixels.to(self.quant_conv.weight.dtype)))
        mean, _ = torch.chunk(moments, 2, dim=1)
        return LATENT_SCALE * mean


def normalize(crops: Tensor) -> Tensor:
    """uint8 RGB [B, H, W, 3] to float32 [B, 3, H, W] in -1..1, as (x / 255 - 0.5) / 0.5."""
    # Channels-last, torch's group norm on a CPU is a hundred times as far from exact.
    pixels = crops.permute(0, 3, 1, 2).contiguous()
    return (pixels.float() / 255 - 0.5) / 0.5


def masked(pixels: Tensor) -> Tensor:
    """A copy of [B, 3, H, W] whose lower half of rows is black, which is -1."""
    upper = pixels.clone()
    upper[:, :, pixels.shape[2] // 2 :] = -1
    return upper


class CropDecoder(nn.Module):
    """The UNet's latents to crops.

    Args:
        vae: weights loaded; only its decoding half is kept.
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.post_quant_conv = vae.post_quant_conv
        self.decoder = vae.decoder

    def forward(self, latents: Tensor) -> Tensor:
        """Decodes [B, 4, 32, 32] (scaled by 0.18215) to uint8 RGB [B, 256, 256, 3].

        x / 2 + 0.5 is clamped to 0..1 in the VAE's dtype, then times 255 in float32, rounded half to even.
        """
        unscaled = (latents * (1 / LATENT_SCALE)).to(self.post_quant_conv.weight.dtype)
        pixels = (self.decoder(self.post_quant_conv(unscaled)) / 2 + 0.5).clamp(0, 1)
        return cast("Tensor", (pixels.float() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous())
