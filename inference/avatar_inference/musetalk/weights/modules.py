"""The network each part belongs to."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from avatar_inference.musetalk.audio import empty_encoder
from avatar_inference.musetalk.bisenet import BiSeNet
from avatar_inference.musetalk.layout import ModelLayout
from avatar_inference.musetalk.model import empty_unet, empty_vae
from avatar_inference.musetalk.rtmpose import RtmPose
from avatar_inference.musetalk.s3fd import S3fd
from avatar_inference.musetalk.weights.folder import Weights


def empty_module(part: str, layout: ModelLayout) -> nn.Module:
    """A part's network without memory, to compare names and shapes with.

    Args:
        part: a name of `catalogue.PARTS`.
        layout: sizes.

    Returns:
        The network on torch's "meta" device.
    """
    with torch.device("meta"):
        return fresh_module(part, layout)


def fresh_module(part: str, layout: ModelLayout) -> nn.Module:
    """A part's network on the current device, initialised by the torch seed; see `empty_module`."""
    drawing = {"unet": empty_unet, "vae": empty_vae, "whisper": empty_encoder}
    if part in drawing:
        return cast("nn.Module", drawing[part](layout))
    finders: dict[str, type[RtmPose | S3fd | BiSeNet]]
    finders = {"landmarks": RtmPose, "detector": S3fd, "parser": BiSeNet}
    return finders[part](layout.finder_width).eval()


def loaded_module(weights: Weights, part: str) -> nn.Module:
    """A part's network on the CPU in float32, its weights loaded; nothing is initialised in vain.

    Raises:
        WeightsError: WeightsMissing or WeightsInvalid.
    """
    module = empty_module(part, weights.layout).to_empty(device="cpu")
    weights.load(part, module)
    return module
