"""Draws read SVG onto canvases of premultiplied colour, in sRGB as browsers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, pi

import numpy as np
from numpy.typing import NDArray

from avatar_inference.preview.coverage import Area, coverages
from avatar_inference.preview.drawing import Drawing, Fill, Gradient, Group, Node, Shape
from avatar_inference.preview.paths import (
    IDENTITY,
    Matrix,
    Points,
    compose,
    flatten_path,
    invert,
    transform_points,
)

Pixels = NDArray[np.float32]
"""float32 [h, w, 4], red, green and blue times alpha, and alpha, 0 to 1."""
Clips = Mapping[str, Sequence[Shape]]


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """Pixels and where they lie in the picture."""

    area: Area
    pixels: Pixels

    @classmethod
    def empty(cls, area: Area) -> Canvas:
        """A transparent canvas."""
        return cls(area, np.zeros((*area.size, 4), np.float32))

    def part(self, area: Area) -> Pixels:
        """A view of the pixels in `area`, which lies within the canvas."""
        top, left = area.top - self.area.top, area.left - self.area.left
        height, width = area.size
        return self.pixels[top : top + height, left : left + width]


def render(drawing: Drawing) -> Canvas:
    """Draws all of it."""
    canvas = Canvas.empty(Area(0, 0, drawing.width, drawing.height))
    draw(drawing.root, canvas, drawing.clips)
    return canvas


def draw(node: Node, canvas: Canvas, clips: Clips, matrix: Matrix = IDENTITY) -> None:
    """Draws a node over what is on the canvas; `matrix` leads from its parent's space to the picture."""
    matrix = compose(matrix, node.effects.matrix)
    if _needs_layer(node):
        _draw_layer(node, canvas, clips, matrix)
    else:
        _draw_content(node, canvas, clips, matrix)


def _needs_layer(node: Node) -> bool:
    """Whether a node is blurred, clipped or faded as a whole."""
    effects = node.effects
    fades = isinstance(node, Group) and effects.opacity < 1
    return bool(effects.blur or effects.clip or fades)


def _draw_content(node: Node, canvas: Canvas, clips: Clips, matrix: Matrix) -> None:
    """Draws a node but for its effects. Runs of plain shapes are painted together, which is much faster."""
    if isinstance(node, Shape):
        paint([(node, matrix)], canvas)
        return
    if node.hidden:
        return
    run: list[tuple[Shape, Matrix]] = []
    for child in node.children:
        if isinstance(child, Shape) and not _needs_layer(child):
            run.append((child, compose(matrix, child.effects.matrix)))
            continue
        paint(run, canvas)
        run = []
        draw(child, canvas, clips, matrix)
    paint(run, canvas)


def _draw_layer(node: Node, canvas: Canvas, clips: Clips, matrix: Matrix) -> None:
    """Draws a node on a canvas of its own first."""
    effects = node.effects
    margin = ceil(3 * effects.blur)
    outline: list[Points] = []
    if effects.clip:
        outline = [polygon for shape in clips[effects.clip] for polygon in _polygons(shape, matrix)]
        target = canvas.area.within(_hull(outline))
    else:
        target = canvas.area.within(_extent(node, matrix).grown(margin))
    if 0 in target.size:
        return
    layer = Canvas.empty(target.grown(margin))
    _draw_content(node, layer, clips, matrix)
    if effects.blur:
        layer = Canvas(layer.area, blurred(layer.pixels, effects.blur))
    pixels = layer.part(target)
    if effects.clip:
        pixels = pixels * coverages([(outline, target)])[0][..., None]
    if isinstance(node, Group):
        pixels = pixels * np.float32(effects.opacity)
    over(canvas.part(target), pixels)


def paint(shapes: Sequence[tuple[Shape, Matrix]], canvas: Canvas) -> None:
    """Fills shapes in order; each matrix leads from the shape's own coordinates to the picture."""
    outlines = [flatten_path(shape.path) for shape, _ in shapes]
    moved = [[transform_points(p, m) for p in o] for o, (_, m) in zip(outlines, shapes, strict=True)]
    areas = [canvas.area.within(_hull(polygons)) for polygons in moved]
    covered = coverages(list(zip(moved, areas, strict=True)))
    for (shape, matrix), outline, area, part in zip(shapes, outlines, areas, covered, strict=True):
        if not part.size:
            continue
        visible = part[..., None] * np.float32(shape.effects.opacity)
        over(canvas.part(area), _colours(shape.fill, outline, matrix, area) * visible)


def over(below: Pixels, above: Pixels) -> None:
    """Puts premultiplied pixels over others, in place."""
    below *= 1 - above[..., 3:]
    below += above


def _polygons(shape: Shape, matrix: Matrix) -> list[Points]:
    return [transform_points(points, matrix) for points in flatten_path(shape.path)]


def _hull(polygons: Sequence[Points]) -> Area:
    points = np.concatenate(polygons)
    left, top = points.min(axis=0)
    right, bottom = points.max(axis=0)
    return Area(floor(left), floor(top), ceil(right), ceil(bottom))


def _extent(node: Node, matrix: Matrix) -> Area:
    """A box that holds the node; `matrix` leads from its own coordinates to the picture."""
    if isinstance(node, Shape):
        return _hull(_polygons(node, matrix))
    areas = [
        _extent(child, compose(matrix, child.effects.matrix)).grown(ceil(3 * child.effects.blur))
        for child in node.children
    ]
    return Area(
        min(area.left for area in areas),
        min(area.top for area in areas),
        max(area.right for area in areas),
        max(area.bottom for area in areas),
    )


def _colours(fill: Fill, outline: Sequence[Points], matrix: Matrix, area: Area) -> Pixels:
    """Premultiplied colour of every pixel of an area, or [1, 1, 4] where all are the same."""
    if isinstance(fill, Gradient):
        return _gradient(fill, compose(matrix, _box_map(outline)) if fill.in_box else matrix, area)
    red, green, blue, alpha = fill
    return np.array([red * alpha, green * alpha, blue * alpha, alpha], np.float32).reshape(1, 1, 4)


def _box_map(outline: Sequence[Points]) -> Matrix:
    """From the unit square to the outline's bounding box; one without width or height is not drawn anyway."""
    points = np.concatenate(outline)
    low = points.min(axis=0)
    width, height = np.maximum(points.max(axis=0) - low, 1e-6)
    return np.array([[width, 0.0, low[0]], [0.0, height, low[1]]])


def _gradient(fill: Gradient, matrix: Matrix, area: Area) -> Pixels:
    """Premultiplied colour of every pixel, [h, w, 4], or of every row, [h, 1, 4], where it runs downwards.

    `matrix` leads from the gradient's space to the picture.
    """
    (ax, bx, cx), (ay, by, cy) = invert(compose(matrix, fill.matrix)).astype(np.float32)
    level = not fill.radial and abs(ax) < 1e-6
    x = np.arange(area.left, area.left + 1 if level else area.right, dtype=np.float32) + np.float32(0.5)
    y = (np.arange(area.top, area.bottom, dtype=np.float32) + np.float32(0.5))[:, None]
    along = (ax * x + cx) + bx * y
    if fill.radial:
        along = np.hypot(along, (ay * x + cy) + by * y)
    index = np.clip(along * 255 + np.float32(0.5), 0, 255).astype(np.uint8)
    pixels: Pixels = fill.ramp.take(index, axis=0)
    return pixels


def blurred(pixels: Pixels, deviation: float) -> Pixels:
    """Close to a Gaussian of this standard deviation in pixels: three box filters, as SVG allows."""
    width = max(1, floor(deviation * 3 * (2 * pi) ** 0.5 / 4 + 0.5))
    lead = width // 2
    # An even box is off by half a pixel: one to the left, one to the right, and an odd one make up for it.
    passes = [(width, lead)] * 3 if width % 2 else [(width, lead), (width, lead - 1), (width + 1, lead)]
    for size, before in passes:
        for axis in (0, 1):
            pixels = _box(pixels, size, before, axis)
    return pixels


def _box(pixels: Pixels, size: int, before: int, axis: int) -> Pixels:
    """Mean of `size` neighbours along an axis, from `before` pixels back; outside is transparent."""
    padding = [(0, 0)] * 3
    padding[axis] = (before + 1, size - 1 - before)
    total = np.cumsum(np.pad(pixels, padding), axis=axis, dtype=np.float64)
    length = pixels.shape[axis]
    upper = np.take(total, range(size, size + length), axis=axis)
    lower = np.take(total, range(length), axis=axis)
    return ((upper - lower) / size).astype(np.float32)
