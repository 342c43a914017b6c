"""What a WAV header promises. FFmpeg forgets it and takes a cut-off file for a whole one."""

from __future__ import annotations

from io import SEEK_SET
from typing import Protocol, cast

HEAD_BYTES = 4096
"""The header lies within these, or its promise is not known."""


class Readable(Protocol):
    """Anything with `read`, which may still be receiving; b"" is the end. Seeking is for those who can."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes that follow."""
        ...


class Seekable(Readable, Protocol):
    """What can also be read again."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves to a position; returns it."""
        ...

    def tell(self) -> int:
        """The position."""
        ...


class WavHead:
    """Passes everything through and keeps the first bytes.

    Attributes:
        arriving: a WAV file that cannot be read again, so that the less is read ahead of it the better.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._head = b""
        self._ahead = b"" if self.seekable() else stream.read(4)
        self.arriving = self._ahead == b"RIFF"

    def seekable(self) -> bool:
        """Whether the stream can be read again."""
        asked = getattr(self._stream, "seekable", None)
        return asked is not None and bool(asked())

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """As the stream's."""
        return cast("Seekable", self._stream).seek(offset, whence)

    def tell(self) -> int:
        """As the stream's."""
        return cast("Seekable", self._stream).tell()

    def read(self, size: int) -> bytes:
        """As the stream's."""
        data, self._ahead = self._ahead + self._stream.read(size - len(self._ahead)), b""
        self._head += data[: HEAD_BYTES - len(self._head)]
        return data

    def seconds(self) -> float | None:
        """Length by the header of what was read; None for anything but a WAV file."""
        return wav_seconds(self._head)


def wav_seconds(head: bytes) -> float | None:
    """Length in seconds a WAV header promises, or None where it is none or says nothing.

    Streamed files promise 0 or about 2**31 or 2**32 bytes: the result is then None or hours.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    position, bytes_per_second = 12, 0
    while position + 8 <= len(head):
        kind, size = (
            head[position : position + 4],
            int.from_bytes(head[position + 4 : position + 8], "little"),
        )
        if kind == b"fmt ":
            bytes_per_second = int.from_bytes(head[position + 16 : position + 20], "little")
        if kind == b"data":
            return size / bytes_per_second if size and bytes_per_second else None
        position += 8 + size + size % 2
    return None
