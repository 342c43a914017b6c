"""Pictures, points and labels that preparation is compared on; the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tests.inference.musetalk.expected import seeded
from tests.support.landmarks import ASTRONAUT

HEIGHT, WIDTH = 210, 260
PICTURES = 3
RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Run:
    """One avatar of the real-time script."""

    mode: Literal["jaw", "raw", "neck"]
    cheeks: tuple[int, int]
    margin: int
    seed: int


RUNS = {
    "jaw": Run("jaw", (90, 90), 10, 1),
    "wide": Run("jaw", (60, 130), 0, 2),
    "raw": Run("raw", (90, 90), 25, 3),
    "neck": Run("neck", (90, 90), 10, 4),
}

SQUARES = (
    (60, 40, 150, 160),
    (-10, 30, 90, 140),
    (150, 100, 300, 260),
    (100, 100, 109, 112),
    (20, -30, 61, 60),
    (3, 5, 258, 207),
)
"""Boxes for single masks: inside, over each border, tiny (a kernel of 1), almost everything."""


def picture(seed: int) -> RGB:
    """uint8 RGB; its first pixel tells pictures apart."""
    made = seeded.picture(seed, HEIGHT, WIDTH)
    made[0, 0] = seed
    return made


def pictures(run: Run) -> list[RGB]:
    return [picture(10 * run.seed + number) for number in range(PICTURES)]


def labels(seed: int) -> NDArray[np.uint8]:
    """uint8 [512, 512] of 0 to 18 in squares of 16 pixels: mostly skin, some of all, rough edges."""
    coarse = seeded.uniform(seed, "labels", (32, 32))
    chosen = np.where(coarse < 0.6, 1, (coarse - 0.6) / 0.4 * 19).astype(np.uint8)
    shifts = (seeded.uniform(seed, "rough", (2, 512)) * 9).astype(int)
    at = np.arange(512)
    rows = np.clip(at[:, None] + shifts[0][None, :], 0, 511) // 16
    columns = np.clip(at[None, :] + shifts[1][:, None], 0, 511) // 16
    found: NDArray[np.uint8] = chosen[rows, columns]
    return found


def points(seed: int) -> NDArray[np.float64]:
    """float64 [68, 2]: the portrait's, larger or smaller, elsewhere in the picture, not always in it."""
    size, right, down = seeded.uniform(seed, "place", (3,))
    noise = seeded.uniform(seed, "noise", (68, 2)) * 6 - 3
    centred = (ASTRONAUT - ASTRONAUT.mean(axis=0)) * (0.5 + 0.9 * size)
    centre = np.array([WIDTH * (0.1 + 0.7 * right), HEIGHT * (0.3 + 0.5 * down)])
    return centred + centre + noise


def steady_points(seed: int) -> NDArray[np.float64]:
    """As `points`, well inside of the picture: a real-time avatar has no place for a missing face."""
    noise = seeded.uniform(seed, "noise", (68, 2)) * 4 - 2
    return (ASTRONAUT - ASTRONAUT.mean(axis=0)) * 0.9 + (120 + seed % 7, 90 + seed % 5) + noise


BOXES = 120
SHIFTS = (0, 0, 0, 7, -9, 200)


def detected(seed: int) -> tuple[int, int, int, int] | None:
    """What a detector says; now and then nothing."""
    if seed % 10 == 9:
        return None
    x, y, width, height = (seeded.uniform(seed, "box", (4,)) * (100, 80, 90, 90)).astype(int).tolist()
    return x, y, x + width + 40, y + height + 50


def crop(seed: int) -> RGB:
    """What the network drew: uint8 RGB [256, 256, 3]."""
    return seeded.picture(seed + 1000, 256, 256)
