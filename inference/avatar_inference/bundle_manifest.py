"""manifest.json of a bundle: what it must look like, and the bundle's id, which is its hash.

The manifest names its files by fixed names with size and SHA-256, so its own hash covers everything and no
path ever comes from a bundle.
"""

from __future__ import annotations

import json
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from avatar_core.errors import InvalidInputError, Reason

PICTURES_FILE, ARRAYS_FILE = "pictures.mkv", "arrays.safetensors"
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_PICTURES = 18_000
"""Ten minutes at 30 pictures per second."""
MAX_SIDE = 4096
MAX_PICTURES_BYTES = 4 * 1024**3
MAX_ARRAYS_BYTES = 1024**3

Side = Annotated[int, Field(ge=2, le=MAX_SIDE, multiple_of=2)]
Place = Annotated[int, Field(ge=0, le=MAX_SIDE)]
Length = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Time = Annotated[int, Field(ge=0, le=10**12)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileEntry(_Part):
    """Size and hash of one file."""

    bytes: Annotated[int, Field(ge=1, le=MAX_PICTURES_BYTES)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Files(_Part):
    """The files beside the manifest; there are no others."""

    pictures: Annotated[FileEntry, Field(alias=PICTURES_FILE)]
    arrays: Annotated[FileEntry, Field(alias=ARRAYS_FILE)]


class Face(_Part):
    """Where the face is in a picture, and which mask it has."""

    x: Place
    y: Place
    width: Length
    height: Length
    mask: Annotated[int, Field(ge=0, lt=MAX_PICTURES)]


class Manifest(_Part):
    """A bundle but for its pictures and arrays. Lists are in the order of the pictures."""

    format: Literal["avatar-bundle/1"] = "avatar-bundle/1"
    name: Annotated[str, Field(max_length=253)]
    engine: Annotated[str, Field(min_length=1, max_length=63)]
    width: Side
    height: Side
    times_us: Annotated[list[Time], Field(min_length=1, max_length=MAX_PICTURES)]
    faces: Annotated[list[Face | None], Field(min_length=1, max_length=MAX_PICTURES)]
    notes: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=32)] = []
    files: Files

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if len(self.faces) != len(self.times_us):
            raise ValueError(f"{len(self.faces)} faces for {len(self.times_us)} times")
        if self.times_us[0] != 0 or any(later <= earlier for earlier, later in pairwise(self.times_us)):
            raise ValueError("times_us must ascend from 0")
        for number, face in enumerate(self.faces):
            if face and (face.x + face.width > self.width or face.y + face.height > self.height):
                raise ValueError(f"the face of picture {number} reaches out of {self.width}x{self.height}")
        return self


def invalid(message: str) -> InvalidInputError:
    """A bundle that cannot be used."""
    return InvalidInputError(Reason.AVATAR_INVALID, message, field="avatar")


def encode_manifest(manifest: Manifest) -> bytes:
    """Canonical JSON: sorted names, no blanks, UTF-8."""
    content = manifest.model_dump(mode="json", by_alias=True)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode_manifest(data: bytes) -> Manifest:
    """Reads what `encode_manifest` wrote. Raises InvalidInputError (AvatarInvalid) for anything else."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise _explain(error) from None
    if encode_manifest(manifest) != data:
        raise invalid("the manifest is not in canonical form")
    return manifest


def build_manifest(**content: object) -> Manifest:
    """A manifest from its fields. Raises InvalidInputError (AvatarInvalid) naming the first wrong one."""
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise _explain(error) from None


def bundle_id(manifest: bytes) -> str:
    """ "sha256:" and the hash of the manifest's bytes."""
    return f"sha256:{sha256(manifest).hexdigest()}"


def _explain(error: ValidationError) -> InvalidInputError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return invalid(f"the bundle's manifest is wrong: {where or 'manifest'}: {first['msg']}")
