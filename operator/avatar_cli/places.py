"""Where a video is put: a file that appears when it is whole, or a store that keeps receipt and video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from avatar_core.store import ObjectStore
from avatar_core.store_errors import typed_store_error


@dataclass(frozen=True, slots=True)
class Place:
    """Where one video is published, and the file it is to end in.

    Attributes:
        store: that the session publishes to.
        file: the file, or None to leave the video in the store.
        scratch: folder on the file's file system, gone afterwards; None when there is no file.
    """

    store: ObjectStore
    file: Path | None
    scratch: Path | None

    async def deliver(self, key: str) -> str:
        """Puts the published video where it is wanted; returns its path or its address in the store.

        Raises:
            StoreError: it can't be read or written; an older file of that name is then as it was.
        """
        if self.file is None or self.scratch is None:
            return f"{self.store.url.rstrip('/')}/{key}"
        whole = self.scratch / "whole.mp4"
        try:
            with whole.open("wb") as copy:
                async for piece in self.store.read(key):
                    copy.write(piece)
            whole.replace(self.file)
        except OSError as error:
            raise typed_store_error(error, "write", str(self.file)) from None
        return str(self.file)


@contextmanager
def place_for(file: Path | None, store: str | None) -> Iterator[Place]:
    """A place for one video; whatever happens within, nothing half-made is left beside `file`.

    Args:
        file: where the video is to be.
        store: URL of a store that keeps it as well; without one the file is all that stays.

    Raises:
        AvatarError: the folder can't be written to, or the store can't be opened.
    """
    if file is None:
        assert store is not None
        yield Place(ObjectStore(store), None, None)
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = TemporaryDirectory(prefix=".avatar-", dir=file.parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise typed_store_error(error, "write", str(file)) from None
    with scratch as name:
        yield Place(ObjectStore(store or name), file, Path(name))
