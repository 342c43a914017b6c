"""How the avatar moves while it only listens: a head that is never quite still, breath, a blink, glances.

All but the blink are sums of cosines with whole half-turns in the motion's length, so that everything stands
still at both ends and the motion can be played forth and back without a jolt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import cos, pi, radians, sin

import numpy as np

from avatar_inference.preview.drawing import Drawing, Node, Shape
from avatar_inference.preview.paths import IDENTITY, Matrix, blend_paths, compose, parse_path

SECONDS = 4.0
"""Length of the motion one way."""
_NECK = (256.0, 400.0)
"""Point the head turns about, pixels."""
_BLINK = 1.4
"""When lids begin to close, seconds."""
_CLOSING, _CLOSED, _OPENING = 0.10, 0.04, 0.18
"""Parts of a blink, seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Where everything is at one time.

    Attributes:
        head: from the drawing to the picture, for what moves with the head.
        chest: the same for what moves with the chest.
        turn: pixels to the right by which a layer one unit nearer than the face is shifted against it.
        closed: how far the eyes are closed, 0 to 1.
        gaze: pixels by which the irises are shifted to the right and down.
        lift: pixels by which the brows are raised.
    """

    head: Matrix
    chest: Matrix
    turn: float
    closed: float
    gaze: tuple[float, float]
    lift: float


def pose_at(seconds: float) -> Pose:
    """The pose at a time from 0 to `SECONDS`."""

    def sway(*amplitudes: float) -> float:
        return sum(a * cos(k * pi * seconds / SECONDS) for k, a in enumerate(amplitudes, start=1))

    closed = _closed(seconds - _BLINK)
    return Pose(
        head=_head(sway(0.8, 0.35, -0.2), sway(1.5, -0.8, 0.3), sway(-0.4, 0.8, 0.3) + 0.5 * closed),
        chest=_shifted(0.0, sway(0.0, 0.3, 0.7)),
        turn=sway(-1.0, 0.5),
        closed=closed,
        gaze=(sway(0.5, 0.0, 0.4), sway(0.0, 0.3)),
        lift=sway(0.0, 0.6, -0.3) - 0.8 * closed,
    )


def apply_pose(drawing: Drawing, pose: Pose) -> Drawing:
    """The drawing in a pose.

    The SVG says what moves how: `data-joint` names the joint of a group ("head" or "chest"), `data-depth` how
    much nearer to the viewer than the face a layer is, `data-gaze` in which direction of its own a group
    follows the gaze (1 or -1), `data-lift` what rises with the brows, `data-closed` the path of closed eyes.
    """
    root = replace(drawing.root, children=tuple(_posed(child, pose) for child in drawing.root.children))
    clips = {name: tuple(_posed_shape(s, pose) for s in shapes) for name, shapes in drawing.clips.items()}
    return replace(drawing, root=root, clips=clips)


def _closed(since: float) -> float:
    if since < _CLOSING:
        return _smooth(since / _CLOSING)
    return 1 - _smooth((since - _CLOSING - _CLOSED) / _OPENING)


def _smooth(t: float) -> float:
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _head(degrees: float, right: float, down: float) -> Matrix:
    x, y = _NECK
    c, s = cos(radians(degrees)), sin(radians(degrees))
    return np.array([[c, -s, x - c * x + s * y + right], [s, c, y - s * x - c * y + down]])


def _shifted(right: float, down: float) -> Matrix:
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down]])


def _posed(node: Node, pose: Pose) -> Node:
    if isinstance(node, Shape):
        return _posed_shape(node, pose)
    matrix = compose(_offset(node.data, pose), node.effects.matrix)
    children = tuple(_posed(child, pose) for child in node.children)
    return replace(node, children=children, effects=replace(node.effects, matrix=matrix))


def _posed_shape(shape: Shape, pose: Pose) -> Shape:
    closed = shape.data.get("closed")
    if closed is None or pose.closed == 0:
        return shape
    path = blend_paths([shape.path, parse_path(closed)], [1 - pose.closed, pose.closed])
    return replace(shape, path=path)


def _offset(data: Mapping[str, str], pose: Pose) -> Matrix:
    """How far a group is moved within its parent."""
    offset = {"head": pose.head, "chest": pose.chest}.get(data.get("joint", ""), IDENTITY)
    depth, gaze, lift = (float(data.get(name, 0)) for name in ("depth", "gaze", "lift"))
    right, down = depth * pose.turn + gaze * pose.gaze[0], abs(gaze) * pose.gaze[1] - lift * pose.lift
    return compose(offset, _shifted(right, down))
