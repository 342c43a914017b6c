"""SVG path data as cubic Bezier curves: read, moved, blended, flattened.

Everything becomes cubic, so two paths drawn with the same commands can be blended point by point.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""float64 [n, 2], x and y in pixels."""
Path = tuple[Points, ...]
"""Subpaths of 1 + 3k control points: a start and three more for each cubic segment. Filled as if closed."""
Matrix = NDArray[np.float64]
"""float64 [2, 3], the affine map (x, y) -> M @ (x, y, 1)."""

IDENTITY: Matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

_TOKEN = re.compile(r"[A-Za-z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "Z": 0}
_CIRCLE = 4 / 3 * (2**0.5 - 1)
"""Handle length with which four cubics make a circle of radius 1."""


def parse_path(data: str) -> Path:
    """Reads the `d` of a path: M L H V C S Q T Z, absolute or relative.

    Raises:
        ValueError: another command (arcs are not read), a wrong number of arguments, or nothing drawn.
    """
    pen = _Pen()
    for command, numbers in _commands(data):
        pen.draw(command, numbers)
    path = pen.path()
    if not path:
        raise ValueError("the path draws nothing")
    return path


def _commands(data: str) -> Iterator[tuple[str, list[float]]]:
    """Single commands with their numbers; repeated arguments repeat the command, after M as L."""
    tokens = _TOKEN.findall(data)
    position = 0
    while position < len(tokens):
        command = tokens[position]
        count = _ARGUMENTS.get(command.upper())
        if count is None:
            raise ValueError(f"path command {command!r} is not one of M L H V C S Q T Z")
        position += 1
        while True:
            numbers = [float(token) for token in tokens[position : position + count]]
            if len(numbers) != count:
                raise ValueError(f"path command {command!r} needs {count} numbers")
            yield command, numbers
            position += count
            if not count or position >= len(tokens) or tokens[position].isalpha():
                break
            command = {"M": "L", "m": "l"}.get(command, command)


class _Pen:
    """Draws commands into subpaths."""

    def __init__(self) -> None:
        self._done: list[Points] = []
        self._points: list[Points] = []
        self._here = np.zeros(2)
        self._handle: Points | None = None
        self._last = ""

    def draw(self, command: str, numbers: Sequence[float]) -> None:
        kind = command.upper()
        base = self._here if command.islower() else np.zeros(2)
        if kind == "H":
            points = [np.array([numbers[0] + base[0], self._here[1]])]
        elif kind == "V":
            points = [np.array([self._here[0], numbers[0] + base[1]])]
        else:
            points = [base + np.array(numbers[i : i + 2]) for i in range(0, len(numbers), 2)]
        if kind == "M":
            self._close()
            self._points = [points[0]]
            self._here = points[0]
        elif kind == "Z":
            self._line(self._points[0])
        else:
            self._curve(kind, points)
        self._last = kind

    def _curve(self, kind: str, points: list[Points]) -> None:
        if kind in "LHV":
            self._line(points[0])
            return
        mirrored = self._here
        family = "CS" if kind in "CS" else "QT"
        if self._handle is not None and self._last in family:
            mirrored = 2 * self._here - self._handle
        if kind in "ST":
            points = [mirrored, *points]
        self._handle, end = points[-2], points[-1]
        if family == "QT":  # a quadratic's handle lies two thirds of the way to the cubic's
            points = [self._here + 2 / 3 * (points[0] - self._here), end + 2 / 3 * (points[0] - end), end]
        self._points += points
        self._here = end

    def _line(self, end: Points) -> None:
        start = self._here
        self._points += [start + (end - start) / 3, start + 2 / 3 * (end - start), end]
        self._here = end

    def _close(self) -> None:
        if len(self._points) > 1:
            self._done.append(np.array(self._points))

    def path(self) -> Path:
        self._close()
        return tuple(self._done)


def ellipse_path(cx: float, cy: float, rx: float, ry: float) -> Path:
    """An ellipse as four cubic segments."""
    k = _CIRCLE
    unit = [(1, 0), (1, k), (k, 1), (0, 1), (-k, 1), (-1, k), (-1, 0), (-1, -k), (-k, -1), (0, -1), (k, -1)]
    unit += [(1, -k), (1, 0)]
    return (np.array([cx, cy]) + np.array(unit) * np.array([rx, ry]),)


def transform_path(path: Path, matrix: Matrix) -> Path:
    """The path with every control point mapped."""
    return tuple(transform_points(points, matrix) for points in path)


def transform_points(points: Points, matrix: Matrix) -> Points:
    """Every point mapped."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def blend_paths(paths: Sequence[Path], weights: Sequence[float]) -> Path:
    """Weighted sum of paths drawn with the same commands.

    Raises:
        ValueError: they were not.
    """
    if len({tuple(points.shape for points in path) for path in paths}) != 1:
        raise ValueError("only paths drawn with the same commands can be blended")
    return tuple(
        np.tensordot(np.asarray(weights), np.array(subpaths), axes=1) for subpaths in zip(*paths, strict=True)
    )


def flatten_path(path: Path) -> list[Points]:
    """Closed polygons close enough to the curves that no corner shows at one pixel a unit."""
    return [_flatten(points) for points in path]


def _flatten(points: Points) -> Points:
    steps = np.abs(points[1:] - points[:-1]).sum(axis=1)
    longest = float((steps[::3] + steps[1::3] + steps[2::3]).max())
    corners = points[:-1].reshape(-1, 3, 2)
    ends = points[3::3, None]
    curve = _bernstein(3 + int(1.2 * longest**0.5)) @ np.concatenate([corners, ends], axis=1)
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])


@cache
def _bernstein(steps: int) -> NDArray[np.float64]:
    """Weights of a cubic's control points at equal steps but for its end: [steps, 4]."""
    t = np.linspace(0.0, 1.0, steps, endpoint=False)
    s = 1 - t
    return np.stack([s**3, 3 * s * s * t, 3 * s * t * t, t**3], axis=1)


def compose(outer: Matrix, inner: Matrix) -> Matrix:
    """The map that applies `inner` first, then `outer`."""
    result = outer[:, :2] @ inner
    result[:, 2] += outer[:, 2]
    return result


def invert(matrix: Matrix) -> Matrix:
    """The inverse map. Written out, since it is needed for every gradient of every mouth."""
    (a, b, c), (d, e, f) = matrix.tolist()
    area = a * e - b * d
    inverse: Matrix = np.array([[e, -b, b * f - c * e], [-d, a, c * d - a * f]]) / area
    return inverse
