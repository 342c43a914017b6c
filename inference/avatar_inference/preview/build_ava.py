"""Makes the built-in bundle of the default avatar out of its SVG.

python -m avatar_inference.preview.build_ava
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar_inference.bundle import Box, Bundle, Mask, Picture
from avatar_inference.bundle_io import write_bundle
from avatar_inference.engine import CROP
from avatar_inference.preview.drawing import Group, Node
from avatar_inference.preview.motion import SECONDS, Pose, apply_pose, pose_at
from avatar_inference.preview.mouth import MouthShape
from avatar_inference.preview.paths import transform_points
from avatar_inference.preview.raster import blurred, render
from avatar_inference.preview.rig import HEAD_ARRAY, as_image, ava_drawing, ava_sprites, overlay, place_at
from avatar_inference.preview.sprites import REGION, REST_KEY, shape_key

FOLDER = Path(__file__).with_name("ava")
"""Where the built-in bundle lies in the package."""

_RATE = 8
"""Pictures per second. The head moves by less than half a pixel between two."""
_BLINK_RATE = 16
_BOX_CENTRE = np.array([[256.0, 288.0]])
"""Middle of the crop in the drawing: it shows the face from the brows to below the open jaw."""
_MASK_REACH, _MASK_SOFTNESS = 6.0, 2.0
"""How far the mask is wider than what sprites change, since the head turns in it; and its edge, pixels."""


def build_ava() -> Bundle:
    """The avatar's bundle, made from its SVG; the same on every machine to within a level of colour."""
    times = picture_times()
    poses = [pose_at(time) for time in times]
    boxes = [face_box(pose) for pose in poses]
    mask = mouth_mask()
    return Bundle(
        name="ava",
        engine="preview",
        width=ava_drawing().width,
        height=ava_drawing().height,
        times_us=[round(time * 1_000_000) for time in times],
        boxes=boxes,
        masks=[mask] * len(times),
        pictures=[draw_picture(pose, box) for pose, box in zip(poses, boxes, strict=True)],
        arrays={HEAD_ARRAY: np.array([pose.head for pose in poses], np.float32)},
    )


def picture_times() -> list[float]:
    """When pictures are drawn, seconds from 0 to the motion's end: sparsely, and densely in the blink."""
    dense = [i / _BLINK_RATE for i in range(round(SECONDS * _BLINK_RATE) + 1)]
    return [time for time in dense if time * _RATE % 1 == 0 or pose_at(time).closed > 0]


def draw_picture(pose: Pose, box: Box) -> Picture:
    """One picture of the motion with the mouth at rest: uint8 RGB [512, 512, 3].

    The mouth is laid over it as it is in every frame, so that a mouth that comes to rest meets the picture.
    """
    drawing = ava_drawing()
    silent = replace(drawing, root=_without_mouth(drawing.root))
    pixels = render(apply_pose(silent, pose)).pixels[..., :3]
    picture = (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)
    crop = picture[box.y : box.y + CROP, box.x : box.x + CROP]
    place = place_at(pose.head.astype(np.float32).astype(np.float64), box.x, box.y)
    crop[...] = overlay(crop, as_image(ava_sprites().draw(REST_KEY)), place)
    return picture


def face_box(pose: Pose) -> Box:
    """The crop's place in a picture: it follows the head in whole pixels."""
    x, y = transform_points(_BOX_CENTRE, pose.head)[0]
    return Box(round(x) - CROP // 2, round(y) - CROP // 2, CROP, CROP)


def mouth_mask() -> Mask:
    """Where sprites can change the crop, with a soft edge around: uint8 [256, 256]."""
    widest = ava_sprites().draw(shape_key(MouthShape(opening=1)))
    changed = np.zeros((CROP, CROP, 1), np.float32)
    left, top = (
        REGION.left - int(_BOX_CENTRE[0, 0]) + CROP // 2,
        REGION.top - int(_BOX_CENTRE[0, 1]) + CROP // 2,
    )
    height, width = REGION.size
    changed[top : top + height, left : left + width, 0] = widest[..., 3] > 0
    reached = (blurred(changed, _MASK_REACH) > 0.02).astype(np.float32)
    return (blurred(reached, _MASK_SOFTNESS)[..., 0] * 255 + 0.5).astype(np.uint8)


def _without_mouth(group: Group) -> Group:
    def child(node: Node) -> Node:
        return _without_mouth(node) if isinstance(node, Group) else node

    if group.id == "mouth":
        return replace(group, hidden=True)
    return replace(group, children=tuple(child(node) for node in group.children))


def main() -> None:
    """Writes the bundle into the package and says its id."""
    print(write_bundle(build_ava(), FOLDER))


if __name__ == "__main__":
    main()
