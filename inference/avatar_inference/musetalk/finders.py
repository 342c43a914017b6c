"""What preparation needs of the networks, as plain functions: it knows no torch, tests may bring others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avatar_core.errors import AvatarError, Reason, WeightsError
from avatar_inference.bundle import Picture
from avatar_inference.engine import PrepareOptions
from avatar_inference.musetalk.mask import FindLabels
from avatar_inference.musetalk.weights import Weights, open_weights
from avatar_inference.musetalk.weights.folder import fetch_command

if TYPE_CHECKING:
    import torch

Latents = NDArray[np.float16]
"""float16 [B, 8, 32, 32]."""

EncodeCrops = Callable[[NDArray[np.uint8]], Latents]
"""uint8 RGB [B, 256, 256, 3] to what the UNet looks at; the same every time."""


@dataclass(frozen=True, slots=True)
class Finders:
    """The networks that look at a source; None where their weights are not there.

    Attributes:
        encode: see `EncodeCrops`.
        points: picture to float64 [133, 2] of COCO-WholeBody, of which 23 to 90 are the face's 68.
        faces: picture to all faces, as (left, top, right, bottom) and score; None: OpenCV looks.
        labels: square to the parts of a face; see `mask.Labels`.
    """

    encode: EncodeCrops
    points: Callable[[Picture], NDArray[np.floating[Any]]] | None = None
    faces: Callable[[Picture], Sequence[tuple[tuple[int, int, int, int], float]]] | None = None
    labels: FindLabels | None = None


def missing(what: str, instead: str) -> AvatarError:
    """The error for a network whose weights are not there: what it is for, and how to do without it."""
    return AvatarError(
        Reason.WEIGHTS_MISSING, f"{what} needs weights: run `avatar weights fetch`, or {instead}"
    )


def load_finders(folder: Path, device: torch.device, options: PrepareOptions, encode: EncodeCrops) -> Finders:
    """Loads the networks that a preparation with these options asks, and no others.

    Args:
        folder: of the weights.
        device: where the networks run, in float32.
        options: given landmarks need no network; of the masks only "landmarks" needs none.
        encode: the VAE's encoder, which is loaded already.

    Returns:
        All that is needed; `faces` is None where the detector's weights are not there.

    Raises:
        WeightsError: WeightsMissing, naming the part that is not there and how to get or do without it;
            WeightsInvalid.
    """
    from avatar_inference.musetalk.faces import FaceFinder
    from avatar_inference.musetalk.labels import FaceParser
    from avatar_inference.musetalk.points import PointFinder
    from avatar_inference.musetalk.weights.modules import loaded_module

    weights = open_weights(folder)
    points, faces, labels = None, None, None
    if options.repaint.landmarks is None:
        _need(weights, "landmarks", "looking for a face", "give its points with --landmarks FILE")
        points = PointFinder(loaded_module(weights, "landmarks"), device)
        if weights.has("detector"):
            faces = FaceFinder(loaded_module(weights, "detector"), device)
    if options.repaint.mask != "landmarks":
        _need(weights, "parser", f"the mask {options.repaint.mask!r}", "take --mask landmarks")
        labels = FaceParser(loaded_module(weights, "parser"), device)
    return Finders(encode, points, faces, labels)


def _need(weights: Weights, part: str, what: str, instead: str) -> None:
    if not weights.has(part):
        command = fetch_command(weights.folder, part)
        message = (
            f"{what} needs the part {part}, which is not in {weights.folder}; run `{command}`, or {instead}"
        )
        raise WeightsError(Reason.WEIGHTS_MISSING, message)
