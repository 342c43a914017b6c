"""The mouth and jaw of the drawn avatar, ready to be laid over any picture of it.

Nine mouths of the SVG stand on a grid of opening (closed, half, open) and spread (round, rest, wide); a mouth
between them is blended from its four neighbours, control point by control point. The jaw is the drawn face,
stretched downwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_inference.preview.coverage import Area
from avatar_inference.preview.drawing import Drawing, Group, Node, Shape
from avatar_inference.preview.mouth import REST, MouthShape
from avatar_inference.preview.paths import Points
from avatar_inference.preview.raster import Canvas, blurred, draw

Field = NDArray[np.float32]

REGION = Area(160, 288, 352, 398)
"""The part of the drawing that mouth and jaw can change."""

_OPENINGS, _SPREADS = ("closed", "half", "open"), ("round", "rest", "wide")
_LINE, _CHIN = 316.0, 378.0
"""Heights of the closed lips and of the chin, pixels."""
_JAW_TOP = 300.0
"""Above this nothing of the face moves."""
_JAW_DROP = 18.0
"""How far the chin goes down, pixels at opening 1."""
_TEETH_DROP, _TEETH_RISE = 8.0, 6.0
"""How far upper and lower teeth come forth, pixels at teeth 1."""
_PRESSED = 0.5
"""Part of the lips' height that is lost when they are pressed firmly."""
_PRESS_ENDS = 0.125
"""Opening from which lips cannot press each other."""


class ShapeKey(NamedTuple):
    """A mouth on the grid of mouths that are told apart; a step moves the lips by at most 1.7 pixels."""

    opening: int
    spread: int
    press: int
    teeth: int


_STEPS = ShapeKey(opening=64, spread=16, press=4, teeth=4)


def shape_key(shape: MouthShape) -> ShapeKey:
    """The nearest mouth of the grid. What cannot be seen is left out, so that more mouths are the same."""
    levels = (shape.opening, shape.spread, shape.press, shape.teeth)
    steps = (round(min(max(v, 0.0), 1.0) * n) for v, n in zip(levels, _STEPS, strict=True))
    key = ShapeKey(*steps)
    if key.opening == 0:
        return key._replace(teeth=0)
    return key._replace(press=0) if key.opening >= _PRESS_ENDS * _STEPS.opening else key


REST_KEY = shape_key(REST)

Sprite = NDArray[np.uint8]
"""What is laid over `REGION`: picture * (255 - alpha) / 255 + colour.

uint8 [h, w, 4], red, green and blue, premultiplied, and alpha.
"""


class Sprites:
    """Draws sprites of one drawing. Nothing changes after construction; safe to use from any thread."""

    def __init__(self, drawing: Drawing) -> None:
        around = Canvas.empty(REGION.grown(16))
        draw(drawing.find("face"), around, drawing.clips)
        self._face = around.part(REGION).copy()
        bare = 1 - self._face[..., 3:]
        self._per_bare = np.divide(1, bare, out=np.zeros_like(bare), where=bare > 1e-3)
        self._inside, self._downwards = _contour(around)
        self._border = 255 * _border()
        self._mouths = _Mouths(drawing)

    def draw(self, key: ShapeKey) -> Sprite:
        """The sprite of a mouth.

        Where the face was all there was, the new face covers it. Where something behind it shows through its
        edge, or shows beside it, as much is left of that as the new edge leaves.
        """
        opening = key.opening / _STEPS.opening
        drop = _drop(opening)
        canvas = Canvas(REGION, _stretched(self._face, drop))
        left = np.minimum((1 - canvas.pixels[..., 3:]) * self._per_bare, 1)
        mouth, clips = self._mouths.blend(
            opening, key.spread / _STEPS.spread, key.press / _STEPS.press, key.teeth / _STEPS.teeth
        )
        draw(mouth, canvas, clips)
        pixels = canvas.pixels
        pixels -= left * self._face
        pixels[..., 3:] = 1 - left
        pixels *= self._weight(drop)[..., None]
        pixels += np.float32(0.5)
        return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)

    def _weight(self, drop: Field) -> Field:
        """How far the sprite replaces the picture, 0 to 255.

        All of it within the face, nothing along its contour where that stays within a pixel of its place: an
        edge laid over itself, moved by a fraction of a pixel, would get a bright rim.
        """
        moved = np.minimum(drop[:, None] * self._downwards, 1)
        weight: Field = np.maximum(self._inside, moved) * self._border
        return weight


def _contour(around: Canvas) -> tuple[Field, Field]:
    """Of each pixel of `REGION`: how well it lies within the face, and how far the contour faces downwards.

    Both are 0 to 1. Away from the contour the second is 1: whatever the jaw brings there is new.
    """
    soft = blurred(around.pixels[..., 3:], 3.0)[..., 0]
    down, right = np.gradient(-soft)
    slope = np.hypot(down, right)
    facing = np.divide(down, slope, out=np.ones_like(down), where=slope > 1e-4).clip(0, 1)
    fields = np.stack([_smooth((soft - 0.8) / 0.19), facing], axis=-1)
    inside, downwards = np.moveaxis(Canvas(around.area, fields).part(REGION), -1, 0)
    return inside, downwards


def _border() -> Field:
    """1 within the region, fading to its upper and side borders, where the face goes on."""
    x = np.arange(REGION.left, REGION.right) + 0.5
    y = np.arange(REGION.top, REGION.bottom) + 0.5
    return _smooth(np.minimum(x - REGION.left, REGION.right - x) / 8) * _smooth((y - REGION.top) / 9)[:, None]


def _smooth(t: NDArray[Any]) -> Field:
    t = np.clip(t, 0, 1)
    smooth: Field = (t * t * (3 - 2 * t)).astype(np.float32)
    return smooth


def _drop(opening: float) -> Field:
    """How far each row of the region goes down with the jaw, pixels."""
    rows = np.arange(REGION.top, REGION.bottom) + 0.5
    return _smooth((rows - _JAW_TOP) / (_CHIN - _JAW_TOP)) * np.float32(opening * _JAW_DROP)


def _stretched(face: Field, drop: Field) -> Field:
    """The face, [h, w, 4], with its rows moved down by `drop`, which never descends: no two of them cross."""
    rows = np.arange(len(face), dtype=np.float64)
    source = np.interp(rows, rows + drop, rows)
    above = np.minimum(source.astype(np.int64), len(face) - 2)
    part = (source - above).astype(np.float32)[:, None, None]
    stretched: Field = face[above] * (1 - part) + face[above + 1] * part
    return stretched


class _Mouths:
    """The nine drawn mouths as one array of control points."""

    def __init__(self, drawing: Drawing) -> None:
        groups = [drawing.find(f"mouth-{o}-{s}") for o, s in product(_OPENINGS, _SPREADS)]
        self._template = replace(groups[0], hidden=False)
        self._parts = [shape.data["part"] for shape in _shapes(self._template)]
        self._lengths = [len(shape.path[0]) for shape in _shapes(self._template)]
        points = [np.concatenate([shape.path[0] for shape in _shapes(group)]) for group in groups]
        self._points = np.array(points).reshape(len(_OPENINGS), len(_SPREADS), -1, 2)

    def blend(
        self, opening: float, spread: float, press: float, teeth: float
    ) -> tuple[Group, dict[str, tuple[Shape, ...]]]:
        """The mouth between those of the grid, and its clip paths; all arguments 0 to 1."""
        points = np.einsum("o,s,ospc->pc", _hats(opening), _hats(spread), self._points)
        thinner = 1 - _PRESSED * press * max(0.0, 1 - opening / _PRESS_ENDS)
        points[:, 1] = _LINE + (points[:, 1] - _LINE) * thinner
        paths = dict(zip(self._parts, np.split(points, np.cumsum(self._lengths)[:-1]), strict=True))
        paths["upper-teeth"] = paths["upper-teeth"] + [0, _TEETH_DROP * teeth]
        paths["lower-teeth"] = paths["lower-teeth"] - [0, _TEETH_RISE * teeth]
        lips, inner, within = _with_paths(self._template, paths).children
        assert isinstance(inner, Shape)
        # Closed lips leave nothing to be seen of the inside, and most frames of a pause are closed.
        children = (lips, inner, within) if opening > 0 else (lips,)
        return replace(self._template, children=children), {within.effects.clip: (inner,)}


def _hats(value: float) -> NDArray[np.float64]:
    """Weights of the three mouths at 0, 0.5 and 1."""
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(value - np.array([0, 0.5, 1])) * 2)
    return weights


def _shapes(node: Node) -> Iterator[Shape]:
    if isinstance(node, Shape):
        yield node
    else:
        for child in node.children:
            yield from _shapes(child)


def _with_paths(group: Group, paths: dict[str, Points]) -> Group:
    children = tuple(
        replace(child, path=(paths[child.data["part"]],))
        if isinstance(child, Shape)
        else _with_paths(child, paths)
        for child in group.children
    )
    return replace(group, children=children)
