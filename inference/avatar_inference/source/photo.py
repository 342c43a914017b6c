"""Reading a photograph: JPEG, PNG or WebP of any mode to upright RGB."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from avatar_inference.bundle import Picture
from avatar_inference.source.source import Source, TimedPicture, check_size, even, fitted, invalid_picture

FORMATS = ("JPEG", "PNG", "WEBP")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises on files that are cut short, forged or too large."""
_WHITE = (255, 255, 255, 255)


def open_photo(path: Path, side_max: int) -> Source | None:
    """Reads a photograph, or returns None when the file is none (it may be a video).

    Of an animation the first picture is taken. Transparent parts become white.

    Args:
        path: the file.
        side_max: larger pictures are scaled down to this long side, in pixels.

    Raises:
        InvalidInputError: too small, too large (seen before decoding), or broken.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            check_size(*image.size)
            scale = fitted(*image.size, side_max)[2]
            # A JPEG much larger than needed is decoded at a fraction of its size.
            image.draft(None, (side_max, side_max))
            picture = _fit(_upright_rgb(image), side_max)
    except UnidentifiedImageError:
        return None
    except _BROKEN as error:
        raise invalid_picture(f"the photograph is broken or cut short ({error}); save it anew") from error
    height, width = picture.shape[:2]

    def frames() -> Iterator[TimedPicture]:
        yield TimedPicture(0, picture, 0)

    return Source(width, height, scale, frames)


def _fit(image: Image.Image, side_max: int) -> Picture:
    width, height, _ = fitted(*image.size, side_max)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(even(np.asarray(image)))


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow's own conversion would clip them
        return Image.fromarray(
            (np.asarray(image).astype(np.int32) >> 8).clip(0, 255).astype(np.uint8)
        ).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image)
    return _in_srgb(image)


def _in_srgb(image: Image.Image) -> Image.Image:
    """RGB in sRGB: phones tag theirs Display P3, printers CMYK with a profile of their own."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            assert converted is not None
            return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # A wrong profile is no reason to refuse a picture.
    return image.convert("RGB")
