"""A file that is still being fetched, kept between tries and between runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest
from io import FileIO
from pathlib import Path

from avatar_inference.musetalk.weights.catalogue import Origin
from avatar_inference.musetalk.weights.files import open_regular, typed

MAX_TAG = 200


class Partial:
    """What has come of a file.

    Args:
        path: where the whole file will appear; kept beside it as `<name>.part`, and the server's tag of its
            version as `<name>.tag`.
        origin: the file.
    """

    def __init__(self, path: Path, origin: Origin) -> None:
        self.origin = origin
        self._whole = path
        self._part = path.with_name(f"{path.name}.part")
        self._tag = path.with_name(f"{path.name}.tag")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self._part.stat().st_size if self._part.is_file() else 0

    @property
    def tag(self) -> str:
        """The server's tag of the version they are of; empty if it gave none."""
        return self._tag.read_text(errors="replace")[:MAX_TAG] if self._tag.is_file() else ""

    def clear(self, tag: str = "") -> None:
        """Begins anew, with a version of this tag."""
        self.remove()
        try:
            if tag:
                self._tag.write_text(tag[:MAX_TAG])
        except OSError as error:
            raise typed(error, self._tag) from None

    @contextmanager
    def appending(self) -> Iterator[Callable[[bytes], None]]:
        """Opens it; what is yielded adds bytes to its end, at once.

        Raises:
            WeightsError: DiskFull; WeightsInvalid for a link or a folder nobody may write to.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        try:
            # Not by its Path, since only os.open refuses links; and nothing may be left in a buffer.
            with open(os.open(self._part, flags, 0o644), "ab", buffering=0) as file:  # noqa: PTH123
                yield lambda block: _write_all(file, block)
        except OSError as error:
            raise typed(error, self._part, self.origin.bytes - self.size) from None

    def digest(self) -> str:
        """SHA-256 of what is there."""
        with open_regular(self._part) as file:
            return file_digest(file, "sha256").hexdigest()

    def remove(self) -> None:
        """Throws everything away."""
        for path in (self._part, self._tag):
            with suppress(FileNotFoundError):
                path.unlink()

    def publish(self) -> None:
        """Makes it the whole file."""
        with open_regular(self._part) as file:
            os.fsync(file.fileno())
        self._part.replace(self._whole)
        self.remove()


def _write_all(file: FileIO, block: bytes) -> None:
    """A write may take less than it was given."""
    left = memoryview(block)
    while left:
        left = left[file.write(left) :]
