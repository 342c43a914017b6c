"""How far a face is turned, by its points: the model was trained on faces seen about from the front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from avatar_inference.engine import Finding
from avatar_inference.musetalk.landmarks import FacePoints
from avatar_inference.source.findings import stretches

_TURNED = 0.6
"""The nose is four times as far from one side of the jaw as from the other: about 40 degrees."""
_TILTED_DEGREES = 30.0
_NOSE, _LEFT, _RIGHT = 30, 2, 14
_ADVICE = "the face is turned or tilted far; it speaks best when it looks into the camera"


def turn(points: FacePoints) -> float:
    """-1 to 1: by how much farther the tip of the nose is from one side of the jaw than from the other.

    0 is a face from the front, about 0.6 one turned by 40 degrees, 1 and more a profile.
    """
    across = points[_RIGHT] - points[_LEFT]
    length = max(float(across @ across), 1e-9)
    return 2 * float((points[_NOSE] - points[_LEFT]) @ across) / length - 1


def tilt(points: FacePoints) -> float:
    """Degrees by which the line through the eyes is off the horizontal, clockwise, -180 to 180."""
    x, y = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    return float(np.degrees(np.arctan2(y, x)))


def extreme_poses(points: Sequence[FacePoints | None]) -> Iterator[Finding]:
    """A finding ("ExtremePose") for each stretch of pictures with a face turned or tilted too far."""
    extreme = [
        one is not None and (abs(turn(one)) > _TURNED or abs(tilt(one)) > _TILTED_DEGREES) for one in points
    ]
    runs = []
    for found, run in groupby(range(len(points)), extreme.__getitem__):
        if found:
            pictures = list(run)
            runs.append((pictures[0], pictures[-1]))
    return stretches("ExtremePose", _ADVICE, runs)
