"""A folder of weights: weights.json and one safetensors file a part, checked by hash, read without pickle."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from avatar_core.errors import Reason, WeightsError
from avatar_inference.musetalk.layout import ModelLayout
from avatar_inference.musetalk.weights.catalogue import DRAWING, OPTIONAL, is_published
from avatar_inference.musetalk.weights.files import check_header, invalid, open_regular
from avatar_inference.musetalk.weights.record import (
    MAX_RECORD_BYTES,
    RECORD_FILE,
    PartEntry,
    PartName,
    Record,
    decode_record,
)
from avatar_inference.musetalk.weights.shapes import check_shapes

if TYPE_CHECKING:
    from torch import Tensor, nn


def default_folder() -> Path:
    """$AVATAR_WEIGHTS, else avatar-operator/weights in the user's data folder."""
    if chosen := os.environ.get("AVATAR_WEIGHTS"):
        return Path(chosen)
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(home) / "avatar-operator/weights"


def part_file(folder: Path, part: str) -> Path:
    """Where a part lies."""
    return folder / f"{part}.safetensors"


def fetch_command(folder: Path, part: str = "") -> str:
    """The command that brings what is missing."""
    wanted = f" --with {part}" if part in OPTIONAL else ""
    return f"avatar weights fetch --folder {shlex.quote(str(folder))}{wanted}"


@dataclass(frozen=True, slots=True)
class Weights:
    """A folder of weights.

    Attributes:
        folder: where they lie.
        record: what its weights.json says.
    """

    folder: Path
    record: Record

    @property
    def layout(self) -> ModelLayout:
        """Sizes of UNet, VAE and audio encoder."""
        return self.record.layout

    @property
    def sha256(self) -> Mapping[str, str]:
        """By part: the hash its file must have, 64 hex digits."""
        return MappingProxyType({name: part.sha256 for name, part in self.record.parts.items()})

    @property
    def official(self) -> bool:
        """Whether what draws is there and every part was converted from the published file."""
        return set(DRAWING) <= set(self.record.parts) and all(
            part.source is not None and is_published(name, part.source.sha256)
            for name, part in self.record.parts.items()
        )

    def has(self, part: str) -> bool:
        """Whether a part is there, by its size; `verify` looks at its content."""
        entry = self.record.parts.get(cast("PartName", part))
        path = part_file(self.folder, part)
        return entry is not None and path.is_file() and path.stat().st_size == entry.bytes

    def entry(self, part: str) -> PartEntry:
        """What weights.json says of a part. Raises WeightsError (WeightsMissing) if it is not there."""
        found = self.record.parts.get(cast("PartName", part))
        if found is None:
            raise WeightsError(
                Reason.WEIGHTS_MISSING,
                f"the weights in {self.folder} have no part {part}; run `{fetch_command(self.folder, part)}`",
            )
        return found

    def verify(self, part: str) -> None:
        """Compares a part's file with the size and hash in weights.json.

        Raises:
            WeightsError: WeightsMissing or WeightsInvalid.
        """
        entry, path = self.entry(part), part_file(self.folder, part)
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry.bytes:
                raise invalid(f"{path} has {size} bytes instead of {entry.bytes}")
            found = file_digest(file, "sha256").hexdigest()
        if found != entry.sha256:
            raise invalid(f"{path} has the SHA-256 {found} instead of {entry.sha256}")

    def tensors(self, part: str) -> dict[str, Tensor]:
        """All tensors of a part by name: float32 on the CPU, counters int64.

        Raises:
            WeightsError: WeightsMissing or WeightsInvalid.
        """
        with self._reading(part) as file:
            return {name: file.get_tensor(name) for name in file.offset_keys()}

    def load(self, part: str, module: nn.Module) -> None:
        """Copies a part into a module, one tensor at a time; names and shapes must be the module's own.

        Raises:
            WeightsError: WeightsMissing, or WeightsInvalid saying what differs.
        """
        import torch

        targets = module.state_dict()
        with self._reading(part) as file, torch.no_grad():
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.offset_keys()}
            check_shapes(str(part_file(self.folder, part)), shapes, module)
            for name, target in targets.items():
                target.copy_(file.get_tensor(name))

    @contextmanager
    def _reading(self, part: str) -> Iterator[Any]:
        """The verified part, opened by safetensors."""
        from safetensors import SafetensorError, safe_open

        self.verify(part)
        path = part_file(self.folder, part)
        check_header(path)
        try:
            with safe_open(path, framework="pt") as file:
                yield file
        except SafetensorError as error:
            raise invalid(f"{path} can't be read: {error}") from None
        except OSError as error:
            raise invalid(f"{path} can't be read: {error.strerror}") from None


def open_weights(folder: Path) -> Weights:
    """Reads weights.json of a folder; the parts are read when they are asked for.

    Raises:
        WeightsError: WeightsMissing when there are none, WeightsInvalid when weights.json is damaged.
    """
    path = folder / RECORD_FILE
    if not os.path.lexists(path):
        message = f"no weights of MuseTalk in {folder}; run `{fetch_command(folder)}`"
        raise WeightsError(Reason.WEIGHTS_MISSING, message)
    with open_regular(path) as file:
        data = file.read(MAX_RECORD_BYTES + 1)
    if len(data) > MAX_RECORD_BYTES:
        raise invalid(f"{path} is larger than {MAX_RECORD_BYTES} bytes")
    return Weights(folder, decode_record(data, str(path)))
