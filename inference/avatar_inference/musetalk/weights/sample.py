"""Random weights: of the same form as the published ones, drawing noise. For tests and measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avatar_inference.musetalk.layout import LATENT_SCALE, LATENT_SIDE, ModelLayout
from avatar_inference.musetalk.weights.catalogue import DRAWING
from avatar_inference.musetalk.weights.folder import Weights, open_weights
from avatar_inference.musetalk.weights.writing import write_weights

if TYPE_CHECKING:
    from torch import nn

SPREAD = 0.35
"""Standard deviation of decoded pixels in -1..1: well spread, and less than a hundredth beyond the limits."""


def random_weights(folder: Path, layout: ModelLayout, seed: int, parts: Sequence[str] = DRAWING) -> Weights:
    """Writes a folder of random weights; the same seed gives the same files.

    Args:
        folder: made if missing.
        layout: sizes of the networks.
        seed: of torch's generator, which is put back afterwards.
        parts: which to write, of `catalogue.PARTS`.

    Returns:
        The folder, opened; not official.
    """
    import torch

    from avatar_inference.musetalk.weights.modules import fresh_module

    networks = {}
    for part in parts:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            networks[part] = fresh_module(part, layout)
            if part == "vae":
                _spread_pixels(networks[part])
    write_weights(folder, {part: network.state_dict() for part, network in networks.items()}, layout)
    return open_weights(folder)


def _spread_pixels(vae: nn.Module) -> None:
    """Scales the last convolution so that decoded pixels are not saturated, which hides differences."""
    import torch

    from avatar_inference.musetalk.vae import CropDecoder

    latents = torch.randn(2, 4, LATENT_SIDE, LATENT_SIDE) / LATENT_SCALE
    decoder = CropDecoder(vae)
    with torch.inference_mode():
        spread = decoder.decoder(decoder.post_quant_conv(latents)).std().item()
    with torch.no_grad():
        decoder.decoder.conv_out.weight *= SPREAD / spread
        decoder.decoder.conv_out.bias.zero_()
