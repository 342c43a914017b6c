"""The two containers torch saves to: a zip archive, and before version 1.6 a row of pickles and numbers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Protocol
from zipfile import ZIP_STORED, ZipFile

import torch

from avatar_inference.musetalk.weights.pickled import Name, Persistent, describe

MAX_PICKLE_BYTES = 32 * 1024 * 1024
MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
_TAIL_BYTES = 128 * 1024
_COUNT_BYTES = 8
_SEE_LARGE = 0xFFFFFFFF
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass(frozen=True, slots=True)
class Stored:
    """Numbers beside the pickle.

    Attributes:
        key: their name in the container.
        dtype: what they are.
        count: how many.
    """

    key: str
    dtype: torch.dtype
    count: int

    @property
    def bytes(self) -> int:
        """Their size."""
        return self.count * self.dtype.itemsize


class Storages(Protocol):
    """An open container.

    Attributes:
        content: what its pickle describes.
    """

    content: object

    def read(self, stored: Stored) -> bytearray:
        """The bytes of a storage. Raises ValueError when they are not there or not of that size."""
        ...


@contextmanager
def open_storages(file: IO[bytes]) -> Iterator[Storages]:
    """Opens what `torch.save` wrote.

    Raises:
        ValueError, KeyError, EOFError, BadZipFile: it is damaged.
    """
    start = file.read(4)
    file.seek(0)
    if start != b"PK\x03\x04":
        yield _Row(file)
        return
    _check_directory(file)
    with ZipFile(file) as archive:
        yield _Archive(archive)


def storage_of(value: object) -> Stored:
    """Reads how a tensor refers to its storage: ("storage", type, key, device, count) and perhaps a view."""
    key = value.key if isinstance(value, Persistent) else None
    if not isinstance(key, tuple) or len(key) not in (5, 6) or key[0] != "storage":
        raise ValueError("a tensor names no storage")
    kind = key[1].path.rpartition(".")[2] if isinstance(key[1], Name) else ""
    if kind not in _DTYPES or (len(key) == 6 and key[5] is not None):
        raise ValueError(f"a storage of the kind {kind[:50] or '?'} is not read")
    if not isinstance(key[4], int) or key[4] < 0:
        raise ValueError("a storage has no size")
    return Stored(str(key[2]), _DTYPES[kind], key[4])


class _Archive:
    """`<root>/data.pkl`, and `<root>/data/<key>` for each storage, none of them compressed."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        pickles = [name for name in archive.namelist() if re.fullmatch(r"[^/]+/data\.pkl", name)]
        if len(pickles) != 1:
            raise ValueError("it is no archive of torch's")
        self._root = pickles[0].partition("/")[0]
        if f"{self._root}/byteorder" in archive.namelist() and self._entry("byteorder", 6) != b"little":
            raise ValueError("its numbers are not little-endian")
        self.content = describe(BytesIO(self._entry("data.pkl", MAX_PICKLE_BYTES))).value

    def read(self, stored: Stored) -> bytearray:
        data = bytearray(self._entry(f"data/{stored.key}", stored.bytes))
        if len(data) != stored.bytes:
            raise ValueError(f"storage {stored.key} has {len(data)} bytes instead of {stored.bytes}")
        return data

    def _entry(self, name: str, most: int) -> bytes:
        info = self._archive.getinfo(f"{self._root}/{name}")
        if info.compress_type != ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"{name} is compressed")
        if info.file_size > most:
            raise ValueError(f"{name} has {info.file_size} bytes; at most {most} are read")
        return self._archive.read(info)


class _Row:
    """Pickles of magic number, protocol, system, content and keys; then each storage's count and numbers."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        stream = BytesIO(file.read(MAX_PICKLE_BYTES))
        if describe(stream).value != _MAGIC or describe(stream).value != _PROTOCOL:
            raise ValueError("it was not saved by torch")
        system = describe(stream).value
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise ValueError("its numbers are not little-endian")
        description = describe(stream)
        keys = describe(stream).value
        if not isinstance(keys, list):
            raise ValueError("it has no list of storages")
        stored = {item.key: item for item in map(storage_of, description.references)}
        self.content = description.value
        self._places = _places([stored[str(key)] for key in keys], stream.tell())

    def read(self, stored: Stored) -> bytearray:
        self._file.seek(self._places[stored.key])
        count = int.from_bytes(self._file.read(_COUNT_BYTES), "little")
        data = bytearray(self._file.read(stored.bytes)) if count == stored.count else bytearray()
        if count != stored.count or len(data) != stored.bytes:
            raise ValueError(f"storage {stored.key} is cut off or not of {stored.count} numbers")
        return data


def _places(storages: list[Stored], start: int) -> dict[str, int]:
    """Where each storage's count stands in the file."""
    places = {}
    for stored in storages:
        places[stored.key] = start
        start += _COUNT_BYTES + stored.bytes
    return places


def _check_directory(file: IO[bytes]) -> None:
    """Refuses an archive whose directory would fill the memory; zipfile reads all of it at once."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read()
    file.seek(0)
    end, large = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    if end < 0:
        raise ValueError("it is cut off")
    claimed = int.from_bytes(tail[end + 12 : end + 16], "little")
    if large >= 0:  # zipfile believes the large record, whatever the small one says
        wide = int.from_bytes(tail[large + 40 : large + 48], "little")
        claimed = wide if claimed == _SEE_LARGE else max(claimed, wide)
    if claimed > MAX_DIRECTORY_BYTES:
        raise ValueError(f"its directory claims {claimed} bytes; at most {MAX_DIRECTORY_BYTES} are read")
