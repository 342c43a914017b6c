"""Loads the networks that look at a source, as far as their weights are there."""

from __future__ import annotations

import torch

from avatar_inference.musetalk.faces import FaceFinder
from avatar_inference.musetalk.finders import EncodeCrops, Finders
from avatar_inference.musetalk.labels import FaceParser
from avatar_inference.musetalk.points import PointFinder
from avatar_inference.musetalk.weights import Weights
from avatar_inference.musetalk.weights.modules import fresh_module


def load_finders(weights: Weights, device: torch.device, encode: EncodeCrops) -> Finders:
    """Points, faces and labels on `device`; None for what has no weights.

    Raises:
        WeightsError: WeightsInvalid.
    """

    def loaded(part: str) -> torch.nn.Module:
        module = fresh_module(part, weights.layout)
        weights.load(part, module)
        return module

    return Finders(
        encode=encode,
        points=PointFinder(loaded("landmarks"), device) if weights.has("landmarks") else None,
        faces=FaceFinder(loaded("detector"), device) if weights.has("detector") else None,
        labels=FaceParser(loaded("parser"), device) if weights.has("parser") else None,
    )
