"""A picture for a person to check: where the face's box is and what the mask lets through."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from avatar_inference.bundle import Box, Bundle, Mask, Picture

_SIDE = 640
_BOX_COLOUR, _MASK_COLOUR = (255, 196, 0), (0, 160, 255)


def sketch(bundle: Bundle) -> bytes:
    """A PNG of at most 640 pixels a side: the first picture with a face, its box and mask drawn on it."""
    number, box = next((number, box) for number, box in enumerate(bundle.boxes) if box is not None)
    mask = bundle.masks[number]
    assert mask is not None
    image = Image.fromarray(_tinted(bundle.pictures[number], box, mask))
    edge = (box.x, box.y, box.x + box.width - 1, box.y + box.height - 1)
    ImageDraw.Draw(image).rectangle(edge, outline=_BOX_COLOUR, width=2)
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _tinted(picture: Picture, box: Box, mask: Mask) -> Picture:
    tinted = picture.astype(np.float32)
    part = tinted[box.y : box.y + box.height, box.x : box.x + box.width]
    part += (np.array(_MASK_COLOUR) - part) * (0.3 * mask[..., None] / 255)
    return np.round(tinted).astype(np.uint8)
