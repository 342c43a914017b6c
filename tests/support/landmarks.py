"""The 68 points of the face in `portraits.astronaut()`, set by hand on an enlarged print of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import cos, pi, sin
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.support.portraits import astronaut, moved, write_clip

# fmt: off
_JAW = [(181, 103), (181, 114), (182, 125), (183, 136), (185, 146), (189, 156), (196, 165), (208, 174),
        (224, 179), (238, 175), (250, 168), (258, 160), (264, 151), (267, 140), (269, 128),
        (270, 116), (270, 104)]
_BROWS = [(189, 91), (194, 89), (200, 88.5), (207, 90), (213, 93),
          (237, 94), (243, 92), (250, 92), (257, 93), (263, 96)]
_NOSE = [(225, 101), (225, 109), (225, 117), (225, 125), (214, 130), (219, 132), (225, 134),
         (230, 132), (236, 131)]
_EYES = [(192, 101), (198, 97), (206, 97.5), (212, 102), (206, 104), (198, 104),
         (236, 104), (241, 100), (249, 99.5), (258, 104), (250, 107), (242, 107)]
_LIPS = [(202, 140), (209, 139.5), (217, 140), (223, 141), (229, 140.5), (238, 140.5), (247, 140.5),
         (239, 150), (231, 155), (223, 156), (215, 155), (208, 149),
         (204, 140.5), (216, 142.5), (223, 143), (230, 142.5), (245, 141), (231, 149), (223, 150),
         (215, 149.5)]
# fmt: on

ASTRONAUT: NDArray[np.float64] = np.array(_JAW + _BROWS + _NOSE + _EYES + _LIPS, np.float64)
"""float64 [68, 2], pixels of the portrait of 512x512."""


def given(*points: NDArray[np.float64] | None) -> NDArray[np.float32]:
    """Points of these pictures as preparation takes them: float32 [n, 68, 2]; None is a picture without."""
    return np.array([np.full((68, 2), np.nan) if one is None else one for one in points], np.float32)


def write_landmarks(
    path: Path, pictures: Sequence[NDArray[np.float64] | None], size: tuple[int, int] = (512, 512)
) -> Path:
    """A landmarks file for `avatar prepare --landmarks`."""
    listed = [None if one is None else np.asarray(one, float).tolist() for one in pictures]
    path.write_text(json.dumps({"width": size[0], "height": size[1], "pictures": listed}))
    return path


def write_talker(folder: Path, seconds: int = 8, rate: int = 25) -> tuple[Path, Path]:
    """A clip of the portrait swaying gently, 320x320, and its landmarks file."""
    ways = [
        (round(9 * sin(pi * n / rate)), round(4 * cos(0.8 * pi * n / rate))) for n in range(seconds * rate)
    ]
    pictures = [moved(astronaut(), *way)[:320, 64:384] for way in ways]
    points = [ASTRONAUT + np.array(way) - np.array([64, 0]) for way in ways]
    times = [1000 * number // rate for number in range(len(ways))]
    clip = write_clip(folder / "talker.mkv", pictures, times)
    return clip, write_landmarks(folder / "talker.json", points, (320, 320))
