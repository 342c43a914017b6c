"""Random weights: of the same form as the published ones, drawing noise. For tests and measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avatar_inference.musetalk.layout import LATENT_SCALE, LATENT_SIDE, ModelLayout
from avatar_inference.musetalk.weights.catalogue import DRAWING
from avatar_inference.musetalk.weights.folder import Weights, open_weights
from avatar_inference.musetalk.weights.writing import write_weights

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from torch import Tensor, nn

SPREAD = 0.35
"""Standard deviation of decoded pixels in -1..1: well spread, and less than a hundredth beyond the limits."""


def random_weights(folder: Path, layout: ModelLayout, seed: int, parts: Sequence[str] = DRAWING) -> Weights:
    """Writes a folder of random weights; the same seed gives the same files.

    Args:
        folder: made if missing.
        layout: sizes of the networks.
        seed: of torch's generator, which is put back afterwards.
        parts: which to write, of `catalogue.DRAWING`.

    Returns:
        The folder, opened; not official.
    """
    networks = _networks(layout, seed)
    write_weights(folder, {part: networks[part].state_dict() for part in parts}, layout)
    return open_weights(folder)


def _networks(layout: ModelLayout, seed: int) -> Mapping[str, nn.Module]:
    import torch

    from avatar_inference.musetalk.audio import empty_encoder
    from avatar_inference.musetalk.model import empty_networks

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet, vae = empty_networks(layout)
        encoder = empty_encoder(layout)
        probe = torch.randn(2, 4, LATENT_SIDE, LATENT_SIDE)
    _spread_pixels(vae, probe / LATENT_SCALE)
    return {"unet": unet, "vae": vae, "whisper": encoder}


def _spread_pixels(vae: AutoencoderKL, latents: Tensor) -> None:
    """Scales the last convolution so that decoded pixels are not saturated, which hides differences."""
    import torch

    with torch.inference_mode():
        spread = vae.decode(latents).sample.std().item()
    with torch.no_grad():
        vae.decoder.conv_out.weight *= SPREAD / spread
        vae.decoder.conv_out.bias.zero_()
