"""The drawn avatar speaks: its mouth and jaw are laid over the crop of a picture, moved as the head is there.

Mouths are drawn once, in the coordinates of the SVG, and kept; a frame costs one small affine map. At rest
the crop is the picture itself, and outside of mouth and jaw it always is.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from math import ceil, floor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar_inference.bundle import Bundle, Picture
from avatar_inference.bundle_manifest import invalid
from avatar_inference.engine import CROP
from avatar_inference.preview.drawing import Drawing
from avatar_inference.preview.mouth import MouthShape
from avatar_inference.preview.paths import Matrix, compose, invert, transform_points
from avatar_inference.preview.sprites import REGION, REST_KEY, ShapeKey, Sprite, Sprites, shape_key
from avatar_inference.preview.svg import parse_svg

HEAD_ARRAY = "rig.head"
"""float32 [N, 2, 3]: for each picture the affine map from the SVG to the picture's pixels."""

_CACHE_BYTES = 64 * 1024 * 1024
_SOURCE = Path(__file__).with_name("ava.svg")


@cache
def ava_drawing() -> Drawing:
    """The avatar as it is drawn in the SVG."""
    return parse_svg(_SOURCE.read_text(encoding="utf-8"))


@cache
def ava_sprites() -> Sprites:
    """Its mouths; all loaded bundles share them."""
    return Sprites(ava_drawing())


@dataclass(frozen=True, slots=True)
class Place:
    """Where sprites go in a crop.

    Attributes:
        left, top, width, height: the part of the crop they reach, pixels.
        to_sprite: affine map from pixels of that part to those of the sprite, row by row.
    """

    left: int
    top: int
    width: int
    height: int
    to_sprite: tuple[float, float, float, float, float, float]


def place_at(head: Matrix, box_left: int, box_top: int) -> Place:
    """Where sprites go in the crop at (box_left, box_top) of a picture whose head is moved by `head`."""
    offset = np.array([[1.0, 0.0, -box_left], [0.0, 1.0, -box_top]])
    to_crop = compose(offset, head)
    corners = np.array([(x, y) for x in (REGION.left, REGION.right) for y in (REGION.top, REGION.bottom)])
    reached = transform_points(corners.astype(float), to_crop)
    left, top = (max(0, floor(v)) for v in reached.min(axis=0))
    right, bottom = (min(CROP, ceil(v)) for v in reached.max(axis=0))
    shift = np.array([[1.0, 0.0, left], [0.0, 1.0, top]])
    back = np.array([[1.0, 0.0, -REGION.left], [0.0, 1.0, -REGION.top]])
    (a, b, c), (d, e, f) = compose(back, compose(invert(to_crop), shift)).tolist()
    return Place(left, top, right - left, bottom - top, (a, b, c, d, e, f))


def overlay(crop: Picture, sprite: Image.Image, place: Place) -> Picture:
    """A copy of the crop with a sprite laid over it."""
    size = (place.width, place.height)
    moved = sprite.transform(size, Image.Transform.AFFINE, place.to_sprite, Image.Resampling.BILINEAR)
    above = np.asarray(moved).astype(np.uint16)
    result = crop.copy()
    below = result[place.top : place.top + place.height, place.left : place.left + place.width]
    total = below * (255 - above[..., 3:])
    total += 127
    total //= 255
    total += above[..., :3]
    below[...] = np.minimum(total, 255, out=total)
    return result


def as_image(sprite: Sprite) -> Image.Image:
    """The sprite in a form Pillow can map; "RGBX" because its own "RGBA" would divide by alpha."""
    height, width = sprite.shape[:2]
    return Image.frombuffer("RGBX", (width, height), sprite.tobytes(), "raw", "RGBX", 0, 1)


class RigFace:
    """The drawn avatar in the pictures of its bundle. Safe to use from any thread.

    Args:
        bundle: holds `rig.head`; its boxes are of the crop's size, so that no pixel is resampled.
        cache_bytes: memory for mouths already drawn; the latest used are kept.

    Raises:
        InvalidInputError: AvatarInvalid, when the bundle is not of that form.
    """

    def __init__(self, bundle: Bundle, cache_bytes: int = _CACHE_BYTES) -> None:
        self._places = _places(bundle)
        self._boxes = [(box.x, box.y) for box in bundle.boxes if box]
        self._pictures = bundle.pictures
        self._room = max(1, cache_bytes // (4 * REGION.size[0] * REGION.size[1]))
        self._mouths: OrderedDict[ShapeKey, Image.Image] = OrderedDict()
        self._lock = Lock()

    def draw(self, picture: int, shape: MouthShape) -> Picture:
        """The crop of this picture with this mouth: uint8 RGB [256, 256, 3]; at rest the picture itself."""
        left, top = self._boxes[picture]
        crop = self._pictures[picture][top : top + CROP, left : left + CROP]
        key = shape_key(shape)
        return crop if key == REST_KEY else overlay(crop, self._mouth(key), self._places[picture])

    def _mouth(self, key: ShapeKey) -> Image.Image:
        with self._lock:
            mouth = self._mouths.get(key)
            if mouth is not None:
                self._mouths.move_to_end(key)
                return mouth
        mouth = as_image(ava_sprites().draw(key))
        with self._lock:
            self._mouths[key] = mouth
            if len(self._mouths) > self._room:
                self._mouths.popitem(last=False)
        return mouth


def _places(bundle: Bundle) -> list[Place]:
    """Where sprites go in each picture. Whatever a bundle says, they stay small and within the crop."""
    heads = bundle.arrays[HEAD_ARRAY]
    boxes = [box for box in bundle.boxes if box and (box.width, box.height) == (CROP, CROP)]
    if len(boxes) == len(bundle.boxes) and _are_upright(heads, len(boxes)):
        places = [
            place_at(head.astype(np.float64), box.x, box.y) for head, box in zip(heads, boxes, strict=True)
        ]
        if all(place.width > 0 and place.height > 0 for place in places):
            return places
    raise invalid(f"{HEAD_ARRAY} and the boxes must place an upright head in {CROP}x{CROP} pixels")


def _are_upright(heads: NDArray[Any], count: int) -> bool:
    """Whether these are so many finite maps close to shifts."""
    if heads.dtype != np.float32 or heads.shape != (count, 2, 3) or not np.isfinite(heads).all():
        return False
    return bool(np.abs(heads[:, :, :2] - np.eye(2)).max() < 0.2)
