"""What preparation needs of the networks, as plain functions: it knows no torch, tests may bring others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar_core.errors import AvatarError, Reason
from avatar_inference.bundle import Picture
from avatar_inference.musetalk.mask import FindLabels

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
