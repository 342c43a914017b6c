"""Where the lips meet: a curve found by its darkness within a face's box, with numpy alone.

A face's box is what OpenCV's frontal cascade gives or a person draws: as wide as the face, down to the chin.
In it the mouth lies about where it does in every face (Farkas, Anthropometry of the Head and Face, 1994); the
curve is looked for around that place and stays there when nothing is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from avatar_inference.bundle import Box, Picture
from avatar_inference.source.scan import LUMA

Grey = NDArray[np.floating[Any]]
"""float32 [H, W], luma 0 to 255."""

MOUTH_ABOVE_CHIN = 0.23
HALF_WIDTH = 0.19
"""Proportions of the box's width: the mouth's height above its lower edge, and half the mouth's width."""

# The searched part of the face, in box widths about the expected mouth, and the points it is sampled at.
_REACH_X, _REACH_Y = 0.36, 0.22
_COLUMNS, _ROWS = 145, 89
_UNIT = HALF_WIDTH * _COLUMNS / (2 * _REACH_X)
"""Half a usual mouth, in columns."""
_REACH = 10
"""Rows within which the dark line between the lips has brighter skin or lip on both sides."""
_FAINT = 6.0
"""Mean contrast of the line in levels below which the proportions are kept."""


@dataclass(frozen=True, slots=True)
class Mouth:
    """The curve on which the lips part, in pixels of the picture.

    At dx from its centre the curve lies at y + tilt * dx - sag * (dx / half_width)**2.

    Attributes:
        x, y: its middle.
        half_width: half the distance between the corners.
        tilt: slope of the line between the corners, positive when the right of the picture is lower.
        sag: how far the middle lies below that line; a smile has a positive one.
        teeth: height of bare teeth above the curve, 0 for closed lips.
    """

    x: float
    y: float
    half_width: float
    tilt: float
    sag: float
    teeth: float


@dataclass(frozen=True, slots=True)
class _Curve:
    """Middle in rows from the patch's centre; tilt and bend in rows over half a usual mouth."""

    middle: float
    tilt: float
    bend: float
    contrast: float


def find_mouth(picture: Picture, face: Box) -> Mouth:
    """The mouth of a face (box within or partly outside of uint8 RGB [H, W, 3])."""
    size = face.width
    x, y = face.x + size / 2, face.y + face.height - MOUTH_ABOVE_CHIN * size
    mouth = _find_near(picture, x, y, size)
    if mouth is None:
        return Mouth(x, y, HALF_WIDTH * size, 0.0, 0.0, 0.0)
    # Boxes are seldom drawn exactly; from its own middle the mouth is seen better.
    return _find_near(picture, mouth.x, y, size) or mouth


def _find_near(picture: Picture, x: float, y: float, size: float) -> Mouth | None:
    """The mouth near x, y of a face so wide; None when no line is dark enough."""
    patch = _patch(picture, x, y, size)
    grey = patch @ LUMA
    dark = _dark_lines(grey)
    curve = _best_curve(dark)
    if curve.contrast < _FAINT:
        return None
    left, right = _corners(dark, curve)
    shift, half = (left + right) / 2, (right - left) / 2
    # The same curve, told from the middle between the corners found.
    at = shift / _UNIT
    middle = curve.middle + curve.tilt * at + curve.bend * at**2
    tilt = (curve.tilt + 2 * curve.bend * at) / _UNIT
    sag = -curve.bend * (half / _UNIT) ** 2
    teeth = _bare_teeth(patch, grey, Mouth(shift, middle, half, tilt, sag, 0.0))
    scale = size * 2 * _REACH_X / _COLUMNS
    middle, sag = (middle + teeth) * scale, (sag + teeth) * scale
    return Mouth(x + shift * scale, y + middle, half * scale, tilt, sag, teeth * scale)


def _patch(picture: Picture, x: float, y: float, size: float) -> NDArray[np.float32]:
    """The part about the expected mouth, float32 [_ROWS, _COLUMNS, 3]; the picture's edge goes on."""
    reach_x, reach_y = _REACH_X * size, _REACH_Y * size
    left, top = int(x - reach_x) - 2, int(y - reach_y) - 2
    right, bottom = int(x + reach_x) + 3, int(y + reach_y) + 3
    columns = np.arange(left, right).clip(0, picture.shape[1] - 1)
    rows = np.arange(top, bottom).clip(0, picture.shape[0] - 1)
    cut = Image.fromarray(picture[rows[:, None], columns])
    box = (x - reach_x - left, y - reach_y - top, x + reach_x - left, y + reach_y - top)
    return np.asarray(cut.resize((_COLUMNS, _ROWS), Image.Resampling.BILINEAR, box)).astype(np.float32)


def _dark_lines(grey: Grey) -> Grey:
    """How much darker each point is than the brightest ones above and below, the lesser of the two."""
    padded = np.pad(grey, ((_REACH, _REACH), (0, 0)), mode="edge")
    brightest = sliding_window_view(padded, _REACH + 1, axis=0).max(-1)
    both: Grey = np.minimum(brightest[: len(grey)], brightest[_REACH:]) - grey
    # Averaged over rows, so that a curve may miss the line by one.
    return (both + np.roll(both, 1, 0) + np.roll(both, -1, 0)) / 3


def _best_curve(dark: Grey) -> _Curve:
    """The best of a grid of curves, by its mean darkness, less the further from the expected place."""
    rows = len(dark)
    middles = np.arange(-0.6 * rows / 2, 0.6 * rows / 2 + 1)
    tilts = np.linspace(-0.25, 0.25, 11)
    bends = np.linspace(-0.35, 0.2, 12)
    along = np.linspace(-1, 1, 41)
    columns = np.round(dark.shape[1] / 2 + along * _UNIT).astype(int)
    shapes = _UNIT * (tilts[:, None, None] * along + bends[None, :, None] * along**2)
    y = np.round(rows / 2 + middles[:, None, None, None] + shapes).astype(int)
    score = dark[y.clip(0, rows - 1), columns].mean(-1)
    near = np.exp(-0.5 * (middles / (0.3 * rows / 2)) ** 2)[:, None, None]
    usual = np.exp(-0.5 * (tilts / 0.2) ** 2)[:, None] * np.exp(-0.5 * (bends / 0.3) ** 2)
    m, t, b = np.unravel_index(int((score * near * usual).argmax()), score.shape)
    return _Curve(float(middles[m]), float(tilts[t] * _UNIT), float(bends[b] * _UNIT), float(score[m, t, b]))


def _corners(dark: Grey, curve: _Curve) -> tuple[float, float]:
    """Columns from the centre at which the dark line ends, 0.75 to 1.3 usual half-widths from its middle."""
    middle = _middle_column(dark, curve)
    steps = np.arange(0.75 * _UNIT, 1.3 * _UNIT)
    ends = []
    for side in (-1.0, 1.0):
        line = _along(dark, curve, middle + side * steps)
        faded = np.flatnonzero(line < 0.35 * line[: len(line) // 4].mean())
        ends.append(middle + side * float(steps[faded[0] if len(faded) else -1]))
    return ends[0], ends[1]


def _middle_column(dark: Grey, curve: _Curve) -> float:
    """The column from the centre about which most of the dark line lies: boxes are seldom drawn exactly."""
    shifts = np.arange(-0.6 * _UNIT, 0.6 * _UNIT + 1)
    score = _along(dark, curve, shifts[:, None] + np.linspace(-1.1, 1.1, 45) * _UNIT).mean(1)
    return float(shifts[(score * np.exp(-0.5 * (shifts / (0.4 * _UNIT)) ** 2)).argmax()])


def _along(dark: Grey, curve: _Curve, columns: NDArray[np.floating[Any]]) -> Grey:
    """Darkness on the curve at these columns from the centre."""
    part = columns / _UNIT
    y = np.round(len(dark) / 2 + curve.middle + curve.tilt * part + curve.bend * part**2).astype(int)
    x = np.round(dark.shape[1] / 2 + columns).astype(int)
    sampled: Grey = dark[y.clip(1, len(dark) - 2), x.clip(0, dark.shape[1] - 1)]
    return sampled


def _bare_teeth(patch: NDArray[np.float32], grey: Grey, mouth: Mouth) -> float:
    """Rows from the dark line down to the lower edge of bare teeth; 0 where none show.

    Teeth are bright and, in a colour picture, much paler than lips and skin.
    """
    pale = patch.max(-1) - patch.min(-1)
    usual = float(np.median(pale))
    if usual < 12:
        return 0.0
    dx = np.linspace(-0.5, 0.5, 21) * mouth.half_width
    columns = np.round(grey.shape[1] / 2 + mouth.x + dx).astype(int).clip(0, grey.shape[1] - 1)
    start = len(grey) / 2 + mouth.y + mouth.tilt * dx - mouth.sag * (dx / mouth.half_width) ** 2
    y = np.round(start[:, None] + np.arange(1, 0.7 * mouth.half_width)).astype(int).clip(0, len(grey) - 1)
    teeth = (pale[y, columns[:, None]] < 0.62 * usual) & (grey[y, columns[:, None]] > 0.8 * np.median(grey))
    if teeth.sum() <= 0.1 * teeth.size:
        return 0.0
    depth = np.where(teeth.any(1), teeth.shape[1] - teeth[:, ::-1].argmax(1), 0)
    return float(np.percentile(depth, 60)) + 1.0
