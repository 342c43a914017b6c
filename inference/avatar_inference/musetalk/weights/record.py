"""weights.json: the sizes of the networks, and for each part the hash of its file and where it came from.

A part's file has a fixed name, so no path ever comes from here.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from avatar_core.errors import Reason, WeightsError
from avatar_inference.musetalk.layout import MUSETALK, ModelLayout

RECORD_FILE = "weights.json"
MAX_RECORD_BYTES = 64 * 1024
MAX_PART_BYTES = 4 * 1024**3
"""The largest part, the UNet, has 3.4 GB."""

PartName = Literal["unet", "vae", "whisper", "landmarks", "detector", "parser"]
Bytes = Annotated[int, Field(ge=1, le=MAX_PART_BYTES)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Source(_Entry):
    """The file a part was converted from; fields as in `catalogue.Origin`."""

    repository: Name
    revision: Name
    file: Name
    bytes: Bytes
    sha256: Sha256


class PartEntry(_Entry):
    """Size and hash of `<part>.safetensors`, and its source where it was converted."""

    bytes: Bytes
    sha256: Sha256
    source: Source | None = None


class Record(_Entry):
    """All of weights.json."""

    format: Literal["avatar-weights/1"] = "avatar-weights/1"
    layout: ModelLayout
    parts: dict[PartName, PartEntry]

    @model_validator(mode="after")
    def _buildable(self) -> Record:
        for field, size in asdict(self.layout).items():
            _check_sizes(field, size, getattr(MUSETALK, field))
        _check_divides("unet_channels", self.layout.unet_channels, self.layout.unet_groups)
        _check_divides("unet_channels", self.layout.unet_channels, self.layout.heads)
        _check_divides("vae_channels", self.layout.vae_channels, self.layout.vae_groups)
        _check_divides("width", (self.layout.width,), self.layout.audio_heads)
        _check_divides("finder_width", (self.layout.finder_width,), 2)
        return self


def _check_sizes(field: str, size: int | tuple[int, ...], published: int | tuple[int, ...]) -> None:
    """Smaller than the published networks is fine, larger would take memory nobody reckons with."""
    sizes = (size,) if isinstance(size, int) else size
    largest = published if isinstance(published, int) else max(published)
    if not all(1 <= one <= largest for one in sizes):
        raise ValueError(f"layout.{field} is {size}; allowed is 1 to {largest}")


def _check_divides(field: str, sizes: tuple[int, ...], divisor: int) -> None:
    if any(size % divisor for size in sizes):
        raise ValueError(f"layout.{field} is {sizes}; all must be multiples of {divisor}")


def encode_record(record: Record) -> bytes:
    """Readable JSON, UTF-8."""
    return (json.dumps(record.model_dump(mode="json", exclude_none=True), indent=2) + "\n").encode()


def decode_record(data: bytes, where: str) -> Record:
    """Reads what `encode_record` wrote.

    Args:
        data: of weights.json.
        where: its path, for the message.

    Raises:
        WeightsError: WeightsInvalid, naming the first wrong field.
    """
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(step) for step in first["loc"])
        raise WeightsError(
            Reason.WEIGHTS_INVALID, f"{where} is wrong: {field or 'content'}: {first['msg']}"
        ) from None
