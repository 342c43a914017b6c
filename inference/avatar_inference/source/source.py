"""Photographs and videos from strangers: checked, bounded, upright, RGB, of even size.

Nothing is decoded before its size is known to be within the limits, a video is never held as a whole, and
only the named file is read: no playlists, no references to other files, no network.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from avatar_core import limits
from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Picture


class TimedPicture(NamedTuple):
    """A picture of a source.

    Attributes:
        time_us: since the first picture, microseconds.
        picture: uint8 RGB [H, W, 3].
        number: which of the file's pictures it is, counted from 0 as they are decoded; some are left out.
    """

    time_us: int
    picture: Picture
    number: int


@dataclass(frozen=True, slots=True)
class Source:
    """An opened photograph or video.

    Attributes:
        width, height: of its pictures as they are used, in pixels, even.
        scale: pixels of such a picture per pixel of the file's upright picture, at most 1.
        frames: starts reading from the beginning; times ascend from 0 (a photograph gives one picture).
            Raises InvalidInputError where the file turns out to be broken or over a limit.
    """

    width: int
    height: int
    scale: float
    frames: Callable[[], Iterator[TimedPicture]]


class SourcePictures:
    """The pictures of a source, decoded as they are asked for, from any thread.

    Only one picture is held. Asking in ascending order decodes each picture once; stepping back starts over.
    """

    def __init__(self, source: Source, count: int) -> None:
        self._source = source
        self._count = count
        self._lock = Lock()
        self._frames: Iterator[TimedPicture] = iter(())
        self._index = -1
        self._picture: Picture | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Picture:
        """The picture at `index` (uint8 RGB [H, W, 3]). Raises IndexError out of range."""
        if not -self._count <= index < self._count:
            raise IndexError(index)
        index %= self._count
        with self._lock:
            if self._picture is None or index < self._index:
                self._frames, self._index = self._source.frames(), -1
            while self._index < index:
                step = next(self._frames, None)
                if step is None:
                    raise invalid_picture("the file changed while it was read; prepare it again")
                self._picture = step.picture
                self._index += 1
            assert self._picture is not None
            return self._picture


def invalid_picture(message: str) -> InvalidInputError:
    """The error for a source that cannot be used."""
    return InvalidInputError(Reason.INVALID_PICTURE, message, field="source")


def check_file(path: Path) -> None:
    """Refuses what is not a regular file of a reasonable size.

    Raises:
        InvalidInputError: missing, a folder, a pipe or device, empty, or larger than 256 MiB.
    """
    try:
        info = path.stat()
    except OSError as error:
        raise invalid_picture(f"cannot be read ({error.strerror}); give a photograph or video") from None
    if not stat.S_ISREG(info.st_mode):
        raise invalid_picture("is not a file; give a photograph (JPEG, PNG, WebP) or a short video")
    if info.st_size == 0:
        raise invalid_picture("the file is empty; give a photograph (JPEG, PNG, WebP) or a short video")
    if info.st_size > limits.MAX_SOURCE_BYTES:
        raise invalid_picture(
            f"the file has {info.st_size >> 20} MiB; at most {limits.MAX_SOURCE_BYTES >> 20} MiB are allowed"
        )


def check_size(width: int, height: int) -> None:
    """Refuses pictures too small for a face or too large to decode.

    Raises:
        InvalidInputError: a side not in 128..8192 pixels, or more than 40 megapixels.
    """
    low, high = limits.SOURCE_SIDE_MIN, limits.SOURCE_SIDE_MAX
    if not (low <= min(width, height) and max(width, height) <= high) or (
        width * height > limits.SOURCE_PIXELS_MAX
    ):
        raise invalid_picture(
            f"the picture has {width}x{height} pixels; each side must have {low} to {high} and the whole at "
            f"most {limits.SOURCE_PIXELS_MAX // 1_000_000} megapixels; scale or crop it"
        )


def fitted(width: float, height: float, side_max: int) -> tuple[int, int, float]:
    """Size with the long side scaled down to `side_max` pixels, and the scale."""
    scale = min(1.0, side_max / max(width, height))
    return round(width * scale), round(height * scale), scale


def even(picture: Picture) -> Picture:
    """The picture without its last odd row and column: 4:2:0 video wants even sizes."""
    height, width = picture.shape[:2]
    return picture[: height & ~1, : width & ~1]
