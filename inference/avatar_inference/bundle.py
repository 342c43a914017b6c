"""An avatar bundle: pictures of a face in motion, where the mouth goes in each, what the engine made of it.

On disk (see bundle_io) it is a folder of a JSON manifest, one lossless video and one safetensors file:
nothing in it can run code. Its id is a hash of its content.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avatar_core.timeline import ping_pong

Picture = NDArray[np.uint8]
"""uint8 RGB [H, W, 3]."""
Mask = NDArray[np.uint8]
"""uint8 [h, w], 255 where the engine's crop replaces the picture."""


class Pictures(Protocol):
    """A sequence of pictures of one size, perhaps decoded as they are asked for. Thread-safe."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Picture: ...


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle within the picture, in pixels. The engine's square crop is stretched to it."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Bundle:
    """A prepared avatar.

    Attributes:
        name: for people.
        engine: the engine that prepared it.
        width, height: of the pictures, in pixels, even.
        times_us: when each picture is shown in the motion, microseconds, ascending from 0. Only the way forth
            is stored; it is played forth and back for ever.
        boxes: the face's box in each picture; None where there is no face and the picture passes untouched.
        masks: for each picture a mask of its box's size; None where there is no face. Pictures may share one.
        pictures: the pictures.
        arrays: what the engine keeps, by name.
        notes: what a receipt must say about this avatar.
    """

    name: str
    engine: str
    width: int
    height: int
    times_us: Sequence[int]
    boxes: Sequence[Box | None]
    masks: Sequence[Mask | None]
    pictures: Pictures
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def picture_at(self, frame: int, fps: Fraction) -> int:
        """Index of the picture behind output frame `frame`: chosen by time in the loop, at any rate."""
        position = ping_pong(int(frame * 1_000_000 / fps), self.times_us[-1])
        return bisect_right(self.times_us, position) - 1
