"""Reads the subset of SVG in which the default avatar is drawn.

Read are: svg, g, path, circle, ellipse, rect, defs, linearGradient, radialGradient, stop, clipPath and filter
(one feGaussianBlur); the attributes id, d, fill, fill-opacity, opacity, transform, clip-path, filter, display
and data-*. Anything else that would change the picture is refused, so what is drawn here is what a browser
shows.
"""

from __future__ import annotations

import re
from math import cos, radians, sin
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from avatar_inference.preview.drawing import Colour, Drawing, Effects, Fill, Gradient, Group, Node, Shape
from avatar_inference.preview.paths import IDENTITY, Matrix, Path, compose, ellipse_path, parse_path


def parse_svg(text: str) -> Drawing:
    """Reads a drawing.

    Raises:
        ValueError: something outside the subset, named.
        xml.etree.ElementTree.ParseError: not XML.
    """
    root = ElementTree.fromstring(text)  # noqa: S314 (our own file, never a stranger's)
    return _Reader(root).drawing(root)


_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_KNOWN = {"id", "d", "fill", "fill-opacity", "opacity", "transform", "clip-path", "filter", "display"}
_KNOWN |= {"cx", "cy", "r", "rx", "ry", "x", "y", "width", "height", "viewBox"}
_SILENT = {"title", "desc", "defs", "linearGradient", "radialGradient", "clipPath", "filter"}


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _numbers(text: str) -> list[float]:
    return [float(match) for match in _NUMBER.findall(text)]


def _number(element: ElementTree.Element, name: str, default: float = 0.0) -> float:
    text = element.get(name)
    if text is None:
        return default
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


class _Reader:
    """Turns elements into nodes; definitions are looked up by id."""

    def __init__(self, root: ElementTree.Element) -> None:
        self._ids = {element.get("id", ""): element for element in root.iter()}

    def drawing(self, root: ElementTree.Element) -> Drawing:
        group = self._group(root, Colour(0, 0, 0))
        clips = {
            element.get("id", ""): tuple(
                self._shape(child, Colour(0, 0, 0), self._effects(child)) for child in element
            )
            for element in root.iter()
            if _tag(element) == "clipPath"
        }
        return Drawing(int(_number(root, "width")), int(_number(root, "height")), group, clips)

    def _group(self, element: ElementTree.Element, fill: Fill | None) -> Group:
        fill = self._fill(element, fill)
        children = [self._node(child, fill) for child in element if _tag(child) not in _SILENT]
        drawn = tuple(child for child in children if child)
        hidden = element.get("display") == "none"
        return Group(element.get("id", ""), drawn, hidden, self._effects(element), _data(element))

    def _node(self, element: ElementTree.Element, inherited: Fill | None) -> Node | None:
        unknown = [name for name in element.attrib if name not in _KNOWN and not name.startswith("data-")]
        if unknown:
            raise ValueError(f"<{_tag(element)}> has {unknown[0]!r}, which is not read")
        if _tag(element) == "g":
            return self._group(element, inherited)
        fill = self._fill(element, inherited)
        return self._shape(element, fill, self._effects(element)) if fill else None

    def _shape(self, element: ElementTree.Element, fill: Fill, effects: Effects) -> Shape:
        return Shape(element.get("id", ""), _outline(element), fill, effects, _data(element))

    def _effects(self, element: ElementTree.Element) -> Effects:
        blur = 0.0
        if reference := _reference(element.get("filter", "")):
            blur = _number(self._ids[reference][0], "stdDeviation")
        matrix = _transform(element.get("transform", ""))
        return Effects(
            matrix, _number(element, "opacity", 1.0), blur, _reference(element.get("clip-path", ""))
        )

    def _fill(self, element: ElementTree.Element, inherited: Fill | None) -> Fill | None:
        text = element.get("fill")
        alpha = _number(element, "fill-opacity", 1.0)
        if text == "none":
            return None
        if text is None:
            return inherited
        if reference := _reference(text):
            return _gradient(self._ids[reference])
        return _colour(text, alpha)


def _reference(text: str) -> str:
    return text[5:-1] if text.startswith("url(#") else ""


def _data(element: ElementTree.Element) -> dict[str, str]:
    return {name[5:]: value for name, value in element.items() if name.startswith("data-")}


def _colour(text: str, alpha: float) -> Colour:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"colour {text!r} is not of the form #rrggbb")
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return Colour(red, green, blue, alpha)


def _transform(text: str) -> Matrix:
    matrix = IDENTITY
    for name, arguments in re.findall(r"(\w+)\s*\(([^)]*)\)", text):
        matrix = compose(matrix, _single_transform(name, _numbers(arguments)))
    return matrix


def _single_transform(name: str, numbers: list[float]) -> Matrix:
    if name == "matrix":
        a, b, c, d, e, f = numbers
        return np.array([[a, c, e], [b, d, f]])
    if name == "translate":
        return np.array([[1, 0, numbers[0]], [0, 1, numbers[1] if len(numbers) > 1 else 0.0]])
    if name == "scale":
        return np.array([[numbers[0], 0, 0], [0, numbers[-1], 0.0]])
    if name == "rotate":
        angle, x, y = (*numbers, 0.0, 0.0)[:3]
        c, s = cos(radians(angle)), sin(radians(angle))
        return np.array([[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y]])
    raise ValueError(f"transform {name!r} is not one of matrix, translate, scale, rotate")


def _outline(element: ElementTree.Element) -> Path:
    tag = _tag(element)
    if tag == "path":
        return parse_path(element.get("d", ""))
    if tag in {"circle", "ellipse"}:
        radius = _number(element, "r")
        return ellipse_path(
            _number(element, "cx"),
            _number(element, "cy"),
            _number(element, "rx", radius),
            _number(element, "ry", radius),
        )
    if tag == "rect" and not element.get("rx"):
        x, y, w, h = (_number(element, name) for name in ("x", "y", "width", "height"))
        return parse_path(f"M{x} {y}H{x + w}V{y + h}H{x}Z")
    raise ValueError(f"<{tag}> is not read")


def _gradient(element: ElementTree.Element) -> Gradient:
    radial = _tag(element) == "radialGradient"
    if radial:
        cx, cy, r = (_number(element, name, 0.5) for name in ("cx", "cy", "r"))
        base = np.array([[r, 0, cx], [0, r, cy]])
    else:
        x1, y1, y2 = (_number(element, name) for name in ("x1", "y1", "y2"))
        x2 = _number(element, "x2", 1.0)
        base = np.array([[x2 - x1, y1 - y2, x1], [y2 - y1, x2 - x1, y1]])
    matrix = compose(_transform(element.get("gradientTransform", "")), base)
    return Gradient(radial, matrix, element.get("gradientUnits") != "userSpaceOnUse", _ramp(element))


def _ramp(gradient: ElementTree.Element) -> NDArray[np.float32]:
    """Colours are blended before they are premultiplied, as SVG wants it."""
    stops = [stop for stop in gradient if _tag(stop) == "stop"]
    offsets = [_number(stop, "offset") for stop in stops]
    colours = [
        _colour(stop.get("stop-color", "#000000"), _number(stop, "stop-opacity", 1.0)) for stop in stops
    ]
    at = np.linspace(0, 1, 256)
    ramp = np.stack([np.interp(at, offsets, channel) for channel in zip(*colours, strict=True)], axis=1)
    ramp[:, :3] *= ramp[:, 3:]
    return ramp.astype(np.float32)
