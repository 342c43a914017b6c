"""A photograph that speaks: lower lip and jaw of the picture are moved, the inside of the mouth is painted.

A backward warp: for every pixel of the crop it is computed where in the picture it comes from. All
displacements end within the mask's ellipse, so nothing can be seen of its border; a mouth at rest is the
picture itself.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Box, Bundle, Picture
from avatar_inference.engine import CROP
from avatar_inference.preview.flow import BOTTOM, INSIDE, LEFT, RIGHT, ROWS, TOP, Flow, bump, find_flow
from avatar_inference.preview.mouth import MouthShape
from avatar_inference.preview.parting import Mouth
from avatar_inference.preview.region import Field, smoothstep
from avatar_inference.source.scan import LUMA

MOUTH_ARRAY = "photo.mouth"
"""float32 [N, 4]: x, y, half-width and tilt of each picture's mouth (parting.Mouth) in pixels of the crop."""
LIPS_ARRAY = "photo.lips"
"""float32 [N, 2]: sag and height of bare teeth in pixels of the crop."""

_LEAST = np.array([0, 0, 4, -1, -CROP, 0])
_MOST = np.array([CROP, CROP, CROP, 1, CROP, CROP])
"""What both arrays may hold side by side."""

_CACHE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Still:
    """One picture's crop, ready to be warped.

    Attributes:
        crop: uint8 [256, 256, 3].
        pixels: the same as uint32 [65536], one number a pixel, which numpy gathers fastest.
        dark, tongue, teeth: colours of the inside of the mouth, red, green, blue, 0 to 255.
    """

    crop: Picture
    pixels: NDArray[np.uint32]
    dark: list[float]
    tongue: list[float]
    teeth: list[float]


class PhotoFace:
    """The face of a prepared photograph or video. Safe to use from any thread.

    Args:
        bundle: holds `photo.mouth` and `photo.lips`.
        cache_bytes: memory for crops of pictures, the latest used are kept.

    Raises:
        InvalidInputError: AvatarInvalid, when the arrays are not those of `prepare_photo`.
    """

    def __init__(self, bundle: Bundle, cache_bytes: int = _CACHE_BYTES) -> None:
        self._bundle = bundle
        self._mouths = _read_mouths(bundle)
        self._room = max(1, cache_bytes // (7 * CROP * CROP))
        self._stills: OrderedDict[int, _Still] = OrderedDict()
        self._lock = Lock()

    def draw(self, picture: int, shape: MouthShape) -> Picture:
        """The crop of this picture with this mouth: uint8 RGB [256, 256, 3].

        At rest it is the picture's crop, resampled. A picture without a face gives a black crop, which has
        nowhere to go.
        """
        box = self._bundle.boxes[picture]
        if box is None:
            return np.zeros((CROP, CROP, 3), np.uint8)
        still = self._still(picture, box)
        if shape.opening <= 0 and shape.press <= 0 and shape.spread == 0.5:
            return still.crop
        return _warp(still, self._mouths[picture], shape)

    def _still(self, picture: int, box: Box) -> _Still:
        with self._lock:
            still = self._stills.get(picture)
            if still is not None:
                self._stills.move_to_end(picture)
                return still
        still = _make_still(self._bundle.pictures[picture], box, self._mouths[picture])
        with self._lock:
            self._stills[picture] = still
            while len(self._stills) > self._room:
                self._stills.popitem(last=False)
        return still


def _read_mouths(bundle: Bundle) -> list[Mouth]:
    count = len(bundle.boxes)
    arrays = [bundle.arrays.get(name) for name in (MOUTH_ARRAY, LIPS_ARRAY)]
    for array, columns in zip(arrays, (4, 2), strict=True):
        if array is None or array.shape != (count, columns) or array.dtype != np.float32:
            raise _not_of_photo()
    rows = np.hstack([array for array in arrays if array is not None]).astype(np.float64)
    for row, box in zip(rows, bundle.boxes, strict=True):
        if box is not None and not ((row >= _LEAST) & (row <= _MOST)).all():
            raise _not_of_photo()
    return [Mouth(*row) for row in rows.tolist()]


def _not_of_photo() -> InvalidInputError:
    return InvalidInputError(
        Reason.AVATAR_INVALID,
        f"the bundle's arrays {MOUTH_ARRAY} and {LIPS_ARRAY} are damaged; prepare the avatar again",
        field="avatar_id",
    )


def _make_still(picture: Picture, box: Box, mouth: Mouth) -> _Still:
    bounds = (box.x, box.y, box.x + box.width, box.y + box.height)
    image = Image.fromarray(picture).resize((CROP, CROP), Image.Resampling.BICUBIC, bounds)
    crop = np.asarray(image)
    crop.flags.writeable = False
    pixels = np.asarray(image.convert("RGBX")).view(np.uint32).ravel()
    x, y, half = int(mouth.x), int(mouth.y), int(mouth.half_width)
    lip = crop[y + CROP // 40 : y + CROP // 14, max(0, x - half // 3) : x + half // 3 + 1].reshape(-1, 3)
    face = crop[TOP : y + 1, LEFT:RIGHT].reshape(-1, 3)
    return _Still(crop, pixels, *_inner_colours(lip, face))


def _inner_colours(lip: Picture, face: Picture) -> tuple[list[float], list[float], list[float]]:
    """Dark, tongue and teeth from pixels [n, 3] of lip and face: a grey picture keeps a grey mouth."""
    if not len(lip) or not len(face):
        return [20.0] * 3, [90.0] * 3, [200.0] * 3
    mean, skin = lip.mean(0, dtype=np.float32), face.mean(0, dtype=np.float32)
    luma = float(mean @ LUMA)
    red = np.clip(luma + 1.5 * (mean - luma), 0, 255)
    bright = min(float(np.percentile(face @ LUMA, 90)), 225.0)
    white = np.clip(bright * (0.78 + 0.22 * skin / max(float(skin @ LUMA), 1.0)), 0, 255)
    return (0.12 * red).tolist(), (0.55 * red).tolist(), white.tolist()


def _warp(still: _Still, mouth: Mouth, shape: MouthShape) -> Picture:
    flow = find_flow(mouth, shape)
    part = _gather(still.pixels, flow.x, flow.y)
    if shape.opening > 0:
        _paint_inside(part, still, flow, _show_of_teeth(mouth, shape))
    out = still.crop.copy()
    out[TOP:BOTTOM, LEFT:RIGHT] = part + 0.5
    return out


def _gather(pixels: NDArray[np.uint32], x: Field, y: Field) -> NDArray[np.float32]:
    """Bilinear samples at x, y: float32 [h, w, 3]."""
    x, y = np.clip(x, 0, CROP - 1.001), np.clip(y, 0, CROP - 1.001)
    left, top = np.floor(x), np.floor(y)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    at = (top * CROP + left).astype(np.intp)

    def corner(offset: int) -> NDArray[np.float32]:
        return pixels[offset:].take(at).view(np.uint8).reshape(*at.shape, 4).astype(np.float32)

    a, c = corner(0), corner(CROP)
    a += (corner(1) - a) * fx
    c += (corner(CROP + 1) - c) * fx
    a += (c - a) * fy
    sampled: NDArray[np.float32] = a[..., :3]
    return sampled


def _show_of_teeth(mouth: Mouth, shape: MouthShape) -> tuple[float, float]:
    """Height in pixels and opacity of the upper teeth to paint; none where the picture bares its own."""
    if mouth.teeth > 0:
        return 1.0, 0.0
    return 0.34 * shape.teeth * mouth.half_width, min(1.0, 2.5 * shape.teeth)


def _paint_inside(part: NDArray[np.float32], still: _Still, flow: Flow, teeth: tuple[float, float]) -> None:
    """Paints what is seen between the lips, in place: dark, a hint of tongue below, of teeth above."""
    gap = flow.lower - flow.upper
    rows, columns = _extent(flow.upper, flow.lower)
    upper, lower, u = flow.upper[rows, columns], flow.lower[rows, columns], flow.along[rows, columns]
    below, above = ROWS[rows] - upper, lower - ROWS[rows]
    inside = smoothstep(below / 2) * smoothstep((above + 1) / 2.5) * np.minimum(gap[rows, columns] / 3, 1)
    inside *= INSIDE[rows, columns]
    t = np.clip(below / np.maximum(gap[rows, columns], 1e-3), 0, 1)
    tongue = smoothstep((t - 0.45) / 0.55) * np.maximum(1 - (u / 0.8) ** 2, 0)
    height, opacity = teeth
    show = np.clip((height - below) / 2, 0, 1) * np.clip(0.6 + below / 6, 0, 1) * bump(u * u / 0.9) * opacity
    for channel in range(3):
        colour = still.dark[channel] + (still.tongue[channel] - still.dark[channel]) * tongue
        colour += (still.teeth[channel] - colour) * show
        plane = part[rows, columns, channel]
        plane += (colour - plane) * inside


def _extent(upper: Field, lower: Field) -> tuple[slice, slice]:
    """Rows and columns that hold the gap between the lips."""
    rows = np.flatnonzero(((upper <= ROWS) & (lower + 1 >= ROWS) & (lower > upper)).any(1))
    columns = np.flatnonzero((lower > upper).any(0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
