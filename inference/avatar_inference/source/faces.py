"""Finding faces in a picture: the box a person gave, or OpenCV's frontal Haar cascade."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_core.limits import FACE_SIDE_MIN, PICTURE_SIDE_MAX
from avatar_inference.bundle import Box, Picture

FindFaces = Callable[[Picture], tuple[Box, ...]]
"""From uint8 RGB [H, W, 3] to the faces in it, largest first."""

_CASCADE = "haarcascade_frontalface_alt.xml"
"""Of OpenCV's frontal cascades the one that saw no faces in grass, coins and buttons."""
_SEARCHED_SIDE = 400
_WINDOW = 20
"""The cascade's own window in pixels; smaller faces are not seen."""
_LOOKED_FOR = 40
"""Faces too small are looked for down to this side, so as to tell how small they are."""


def haar_faces() -> FindFaces:
    """A finder that looks with OpenCV 4.

    Raises:
        AvatarError: OpenCV 4 is not installed (MissingDependency).
    """
    cascade = _load_cascade()

    def find(picture: Picture) -> tuple[Box, ...]:
        import cv2

        scale = min(1.0, _SEARCHED_SIDE / max(picture.shape[:2]))
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        grey = np.asarray(Image.fromarray(picture).convert("L").resize(size, Image.Resampling.BOX))
        least = max(_WINDOW, int(_LOOKED_FOR * scale))
        found = cascade.detectMultiScale(cv2.equalizeHist(grey), 1.1, 4, minSize=(least, least))
        boxes = (Box(*(round(float(side) / scale) for side in box)) for box in found)
        return tuple(sorted(boxes, key=lambda box: (-box.width, box.x, box.y)))

    return find


def _load_cascade() -> Any:
    try:
        import cv2

        # OpenCV 5 has neither the class nor the files; its folder is a module the type stubs do not know.
        folder = import_module("cv2.data").haarcascades
        cascade = cv2.CascadeClassifier(str(Path(folder) / _CASCADE))
        if cascade.empty():
            raise AttributeError("no cascades")
    except (ImportError, AttributeError):
        raise AvatarError(
            Reason.MISSING_DEPENDENCY,
            "finding a face needs OpenCV 4: run `pip install 'avatar-operator[prepare]'`, or say where the "
            "face is with --face-box X,Y,WIDTH,HEIGHT",
        ) from None
    return cascade


def given_face(box: tuple[int, int, int, int], scale: float, width: int, height: int) -> FindFaces:
    """A finder that always answers with the box a person gave.

    Args:
        box: x, y, width, height in pixels of the upright source.
        scale: pixels of a picture per pixel of the source.
        width, height: of the pictures, in pixels.

    Raises:
        InvalidInputError: the box is not within the picture, or smaller than 64 pixels.
    """
    x, y, w, h = box
    # Odd sizes lose a row or column, so a box that ends at the very edge may reach over by one.
    if x < 0 or y < 0 or w <= 0 or h <= 0 or (x + w) * scale > width + 1.5 or (y + h) * scale > height + 1.5:
        raise InvalidInputError(
            Reason.INVALID_ARGUMENT,
            f"{x},{y},{w},{h} must be X,Y,WIDTH,HEIGHT within the picture of "
            f"{round(width / scale)}x{round(height / scale)} pixels",
            field="face_box",
        )
    face = Box(round(x * scale), round(y * scale), round(w * scale), round(h * scale))
    if min(face.width, face.height) < FACE_SIDE_MIN:
        raise too_small(min(face.width, face.height))
    return lambda picture: (face,)


def no_face() -> InvalidInputError:
    """The error for a source without any face."""
    return InvalidInputError(
        Reason.NO_FACE,
        "no face was found; use a picture of one face seen from the front, at least "
        f"{FACE_SIDE_MIN} pixels wide, or say where it is with --face-box X,Y,WIDTH,HEIGHT",
        field="source",
    )


def too_small(pixels: int) -> InvalidInputError:
    """The error for a source whose largest face is so many pixels wide."""
    return InvalidInputError(
        Reason.FACE_TOO_SMALL,
        f"the face is {pixels} pixels wide; at least {FACE_SIDE_MIN} are needed (in a picture of "
        f"at most {PICTURE_SIDE_MAX} pixels); use a larger or closer picture, or crop it",
        field="source",
    )


def several_faces(boxes: Sequence[Box], scale: float) -> InvalidInputError:
    """The error for a source with several faces; lists their boxes in pixels of the source."""
    listed = "; ".join(
        f"{number}: {','.join(str(round(side / scale)) for side in (box.x, box.y, box.width, box.height))}"
        for number, box in enumerate(boxes, 1)
    )
    return InvalidInputError(
        Reason.SEVERAL_FACES,
        f"{len(boxes)} faces were found (X,Y,WIDTH,HEIGHT of each: {listed}); choose one with --face "
        f"1 to {len(boxes)} or with --face-box, or crop the picture",
        field="source",
    )


def overlap(first: Box, second: Box) -> float:
    """Shared area over joint area, 0 to 1."""
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (first.width * first.height + second.width * second.height - shared)
