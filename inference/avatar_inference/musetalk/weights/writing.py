"""Writes a folder of weights."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from avatar_core.errors import WeightsError
from avatar_inference.musetalk.layout import ModelLayout
from avatar_inference.musetalk.weights.files import appearing, invalid, open_regular, typed
from avatar_inference.musetalk.weights.folder import open_weights, part_file
from avatar_inference.musetalk.weights.record import (
    RECORD_FILE,
    PartEntry,
    PartName,
    Record,
    Source,
    encode_record,
)

if TYPE_CHECKING:
    from torch import Tensor


def write_weights(
    folder: Path,
    parts: Mapping[str, Mapping[str, Tensor]],
    layout: ModelLayout,
    sources: Mapping[str, Source] = MappingProxyType({}),
) -> None:
    """Writes parts into a folder; each file appears whole, weights.json last.

    Parts that are there already stay, if they are of the same layout.

    Args:
        folder: made if missing.
        parts: by part, tensors by name; floating ones are stored as float32, counters as int64.
        layout: sizes of UNet, VAE and audio encoder.
        sources: by part, the published file it was converted from.

    Raises:
        WeightsError: WeightsInvalid for a value that is not finite or a folder that can't be written to;
            DiskFull.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typed(error, folder) from None
    entries = _kept(folder, layout)
    for part, tensors in parts.items():
        entries[cast("PartName", part)] = _write_part(part_file(folder, part), tensors, sources.get(part))
    with appearing(folder / RECORD_FILE) as path:
        path.write_bytes(encode_record(Record(layout=layout, parts=entries)))


def _kept(folder: Path, layout: ModelLayout) -> dict[PartName, PartEntry]:
    try:
        there = open_weights(folder).record
    except WeightsError:  # nothing there, or nothing that could be kept
        return {}
    return dict(there.parts) if there.layout == layout else {}


def _write_part(path: Path, tensors: Mapping[str, Tensor], source: Source | None) -> PartEntry:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    stored = {name: _storable(path.stem, name, tensor) for name, tensor in tensors.items()}
    with appearing(path) as whole:
        try:
            save_file(stored, whole)
        except SafetensorError as error:  # how it tells that the disk is full, among others
            raise _io_error(error) from None
        with open_regular(whole) as file:
            digest = file_digest(file, "sha256").hexdigest()
        return PartEntry(bytes=whole.stat().st_size, sha256=digest, source=source)


def _storable(part: str, name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.detach().long().contiguous()
    stored = tensor.detach().float().contiguous()
    if not stored.isfinite().all():
        raise invalid(f"{part}: {name} holds values that are not finite")
    return stored


def _io_error(error: Exception) -> OSError:
    """safetensors tells an operating system's error in words only."""
    number = re.search(r"\(os error (\d+)\)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code))
