"""A drawing: filled shapes in groups, as they are read from SVG and changed before they are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_inference.preview.paths import Matrix, Path


class Colour(NamedTuple):
    """Red, green, blue and opacity, each 0 to 1."""

    red: float
    green: float
    blue: float
    alpha: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Gradient:
    """Colours along a line or out from a centre.

    Attributes:
        radial: out from a centre instead of along a line.
        matrix: from the unit gradient (x from 0 to 1, or radius 0 to 1) to user space or to the unit box.
        in_box: `matrix` leads to the unit square of the painted shape's bounding box.
        ramp: float32 [256, 4], premultiplied colours from the start to the end.
    """

    radial: bool
    matrix: Matrix
    in_box: bool
    ramp: NDArray[np.float32]


Fill = Colour | Gradient


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What is done to a node once it is drawn.

    Attributes:
        matrix: from the node's coordinates to its parent's.
        opacity: 0 to 1.
        blur: standard deviation of a Gaussian, pixels.
        clip: id of the clip path, or "".
    """

    matrix: Matrix
    opacity: float = 1.0
    blur: float = 0.0
    clip: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A filled path. `data` holds its data-* attributes without the prefix."""

    id: str
    path: Path
    fill: Fill
    effects: Effects
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Nodes drawn in order. `hidden` groups are read but not drawn."""

    id: str
    children: tuple[Node, ...]
    hidden: bool
    effects: Effects
    data: Mapping[str, str]


Node = Shape | Group


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A read SVG: its size in pixels, what is drawn, and the shapes of its clip paths by id."""

    width: int
    height: int
    root: Group
    clips: Mapping[str, tuple[Shape, ...]]

    def find(self, node_id: str) -> Group:
        """The group of this id. Raises KeyError."""
        found = _find(self.root, node_id)
        if found is None:
            raise KeyError(node_id)
        return found


def _find(group: Group, node_id: str) -> Group | None:
    if group.id == node_id:
        return group
    inner = (_find(child, node_id) for child in group.children if isinstance(child, Group))
    return next((found for found in inner if found), None)
