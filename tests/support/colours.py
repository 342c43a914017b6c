"""Six known colours as a video, and the arithmetic of ITU-R BT.709 to read them back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from avatar_inference.encoder import Encoder, EncoderSettings

PATCHES = [(235, 30, 40), (20, 200, 60), (30, 60, 220), (250, 250, 250), (224, 172, 140), (60, 60, 60)]
"""Red, green, blue, white, skin and a dark grey, three in a row."""
SIDE = 48
WIDTH, HEIGHT = 3 * SIDE, 2 * SIDE


def patch_picture() -> NDArray[np.uint8]:
    """uint8 RGB [96, 144, 3]."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for index, colour in enumerate(PATCHES):
        row, column = divmod(index, 3)
        picture[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = colour
    return picture


def encode_patches(*, fragmented: bool = True, frames: int = 8) -> bytes:
    """The patches for `frames` frames at 15 per second; unfragmented, the H.264 stream alone."""
    encoder = Encoder(EncoderSettings(WIDTH, HEIGHT, None, Fraction(15), 24000, 1, 2880, fragmented))
    silence = np.zeros((1600, 1), np.int16)
    chunks = [chunk for _ in range(frames) for chunk in encoder.write(patch_picture(), silence)]
    chunks += encoder.close()
    wanted = ("init", "fragment") if fragmented else ("video",)
    return b"".join(chunk.data for chunk in chunks if chunk.kind in wanted)


def patch_values(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colour of the middle of each patch, [6, 3]."""
    cells = picture.reshape(2, SIDE, 3, SIDE, 3)[:, SIDE // 4 : -SIDE // 4, :, SIDE // 4 : -SIDE // 4]
    return cells.mean(axis=(1, 3), dtype=np.float64).reshape(6, 3)


def bt709_to_rgb(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Limited-range Y'CbCr [3, H, W] to R'G'B' [H, W, 3]; ITU-R BT.709-6, 3.2 to 3.5."""
    y, cb, cr = planes.reshape(3, HEIGHT, WIDTH).astype(np.float64)
    luma, blue, red = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r = luma + 1.5748 * red
    b = luma + 1.8556 * blue
    g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152
    return np.clip(np.rint(255 * np.stack([r, g, b], axis=-1)), 0, 255).astype(np.uint8)
