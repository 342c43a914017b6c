"""Where videos and their receipts live: one small interface over files, S3, GCS and Azure.

An object is either wholly there or not at all: files are renamed into place, uploads completed at the end.
Credentials are explicit (environment variables); the cloud's metadata address is never asked for any.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from avatar_core.errors import AvatarError, Reason, StoreError
from avatar_core.store_errors import typed_store_error
from avatar_core.store_folder import UNFINISHED, unfinished
from avatar_core.store_urls import local_folder, open_store

BLOCK_BYTES = 1024 * 1024
PARTS_AT_ONCE = 2
"""Of one upload, 5 MiB each in memory; the library would take 12."""
SMALL_OBJECT_BYTES = 16 * BLOCK_BYTES
"""`Store.get` is for receipts and replies, not for videos."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was put.

    Attributes:
        key: its name in the store.
        size: bytes.
        sha256: of the content, 64 hexadecimal digits.
    """

    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in the store.

    Attributes:
        key: its name in the store.
        size: bytes.
        modified: when it was put, with a time zone.
        etag: changes with every put; empty where the store has none.
    """

    key: str
    size: int
    modified: datetime
    etag: str = ""


class Store(Protocol):
    """Objects by key, such as "default/<uid>/video.mp4". Every method may raise StoreError."""

    async def put(self, key: str, source: bytes | Path | AsyncIterable[bytes], content_type: str) -> Stored:
        """Stores a whole object, replacing an earlier one; nothing is visible before it is complete.

        What can be iterated again (a file, no generator) a store may send again after a passing failure.
        """
        ...

    async def get(self, key: str) -> bytes | None:
        """A small object (at most 16 MiB), or None when there is none."""
        ...

    def read(self, key: str) -> AsyncIterator[bytes]:
        """An object of any size in pieces. Raises StoreError when there is none."""
        ...

    async def head(self, key: str) -> Entry | None:
        """What is known about an object, or None when there is none."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[Entry]:
        """All objects below a folder, in no particular order."""
        ...

    async def delete(self, key: str) -> None:
        """Removes an object; one that is gone already is no error."""
        ...


class ObjectStore:
    """A store by URL.

    Args:
        url: a folder or file:///folder (made when missing), s3://bucket/prefix, gs://bucket/prefix,
            az://account/container/prefix, or memory:// (gone with the process). Cloud stores take region,
            endpoint and credentials from the variables their own tools use (AWS_…, GOOGLE_…, AZURE_…).

    Raises:
        InvalidInputError: the URL is of no known kind.
        StoreError: the folder can't be made, or credentials are missing (the message names the variables).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._folder = local_folder(url)
        try:
            self._store = open_store(url, self._folder)
        except (AvatarError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise typed_store_error(error, "open", url) from None

    async def put(self, key: str, source: bytes | Path | AsyncIterable[bytes], content_type: str) -> Stored:
        """Stores a whole object; see `Store.put`."""
        import obstore

        if isinstance(source, Path):
            source = _blocks(source)
        digest = _Digest()
        body: Any = digest.take(source) if isinstance(source, bytes) else digest.through(source)
        # Files have no attributes: their suffix tells the type to whoever serves them.
        attributes = None if self._folder else {"Content-Type": content_type}
        try:
            await obstore.put_async(
                self._store, key, body, attributes=attributes, max_concurrency=PARTS_AT_ONCE
            )
        except Exception as error:
            raise _mapped(error, "write", f"{self.url}/{key}") from None
        return Stored(key, digest.size, digest.hexdigest())

    async def get(self, key: str) -> bytes | None:
        """A small object; see `Store.get`."""
        import obstore

        try:
            found = await obstore.get_async(self._store, key)
            if found.meta["size"] > SMALL_OBJECT_BYTES:
                raise StoreError(
                    Reason.STORE_DENIED, f"{key} has {found.meta['size']} bytes; read it in pieces"
                )
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise _mapped(error, "read", f"{self.url}/{key}") from None

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """An object in pieces; see `Store.read`."""
        import obstore

        try:
            async for piece in (await obstore.get_async(self._store, key)).stream(min_chunk_size=BLOCK_BYTES):
                yield bytes(piece)
        except Exception as error:
            raise _mapped(error, "read", f"{self.url}/{key}") from None

    async def read_part(self, entry: Entry, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` up to `end` of an object, in pieces.

        Raises:
            StoreError: also when it is not the object any more that `entry` tells of.
        """
        import obstore

        options: Any = {"range": (start, end)}
        if entry.etag:
            options["if_match"] = entry.etag
        try:
            found = await obstore.get_async(self._store, entry.key, options=options)
            async for piece in found.stream(min_chunk_size=BLOCK_BYTES):
                yield bytes(piece)
        except Exception as error:
            raise _mapped(error, "read", f"{self.url}/{entry.key}") from None

    async def head(self, key: str) -> Entry | None:
        """What is known about an object; see `Store.head`."""
        import obstore

        try:
            return _entry(await obstore.head_async(self._store, key))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise _mapped(error, "read", f"{self.url}/{key}") from None

    async def list(self, prefix: str = "") -> AsyncIterator[Entry]:
        """All objects below a folder, and what uploads left that were killed; see `Store.list`."""
        import obstore

        try:
            async for batch in obstore.list(self._store, prefix=prefix or None):
                for meta in batch:
                    yield _entry(meta)
            for facts in await asyncio.to_thread(unfinished, self._folder, prefix) if self._folder else ():
                yield Entry(*facts)
        except Exception as error:
            raise _mapped(error, "list", f"{self.url}/{prefix}") from None

    async def delete(self, key: str) -> None:
        """Removes an object; see `Store.delete`."""
        import obstore

        if self._folder and not (self._folder / key).parent.resolve().is_relative_to(self._folder.resolve()):
            # A symbolic link to somewhere else: what is there is not ours to remove.
            raise StoreError(Reason.STORE_DENIED, f"{key} lies outside {self.url}; it is left alone")
        try:
            if self._folder and UNFINISHED.search(key):
                (self._folder / key).unlink(missing_ok=True)
                return
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return
        except Exception as error:
            raise _mapped(error, "delete", f"{self.url}/{key}") from None


class _Digest:
    """Size and hash of what passes through."""

    def __init__(self) -> None:
        self._hash, self.size = hashlib.sha256(), 0

    def take(self, piece: bytes) -> bytes:
        self._hash.update(piece)
        self.size += len(piece)
        return piece

    async def through(self, source: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for piece in source:
            yield self.take(piece)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
            yield block


def _mapped(error: Exception, action: str, where: str) -> AvatarError:
    return error if isinstance(error, AvatarError) else typed_store_error(error, action, where)


def _entry(meta: Any) -> Entry:
    return Entry(meta["path"], meta["size"], meta["last_modified"], meta.get("e_tag") or "")
