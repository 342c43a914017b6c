"""Bundles on disk: a folder of manifest.json, pictures.mkv and arrays.safetensors.

Nothing in a bundle can run code or name a path, and everything read is bounded before it is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from avatar_inference.bundle import Box, Bundle, Mask
from avatar_inference.bundle_manifest import (
    ARRAYS_FILE,
    MAX_ARRAYS_BYTES,
    MAX_MANIFEST_BYTES,
    PICTURES_FILE,
    Face,
    FileEntry,
    Manifest,
    build_manifest,
    bundle_id,
    decode_manifest,
    encode_manifest,
    invalid,
)
from avatar_inference.bundle_pictures import read_pictures, write_pictures

MANIFEST_FILE = "manifest.json"
_MASK, _ARRAY = "mask.", "array."
_HASH_BLOCK = 1024 * 1024
_MAX_HEADER_BYTES = 8 * 1024 * 1024
Arrays = dict[str, NDArray[np.generic]]


def write_bundle(bundle: Bundle, folder: Path) -> str:
    """Writes a bundle's files into a folder, the manifest last.

    Args:
        bundle: what to write.
        folder: made if missing; should hold nothing else.

    Returns:
        The bundle's id: the same content gives the same id.

    Raises:
        InvalidInputError: AvatarInvalid, when the bundle contradicts itself.
    """
    masks, indices = _distinct(bundle.masks)
    faces = [
        None if box is None or index is None else _face(box, index, masks)
        for box, index in zip(bundle.boxes, indices, strict=True)
    ]
    _check_pictures(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    write_pictures(bundle.pictures, folder / PICTURES_FILE)
    named: Arrays = {f"{_MASK}{number}": mask for number, mask in enumerate(masks)}
    named |= {f"{_ARRAY}{name}": array for name, array in bundle.arrays.items()}
    contiguous = {name: np.ascontiguousarray(array) for name, array in named.items()}
    save_file(contiguous, folder / ARRAYS_FILE)
    (folder / ARRAYS_FILE).chmod(0o644)  # save_file keeps it from other users, who may serve it
    manifest = build_manifest(
        name=bundle.name,
        engine=bundle.engine,
        width=bundle.width,
        height=bundle.height,
        times_us=[int(time) for time in bundle.times_us],
        faces=faces,
        notes=list(bundle.notes),
        files={name: _entry(folder / name) for name in (PICTURES_FILE, ARRAYS_FILE)},
    )
    data = encode_manifest(manifest)
    (folder / MANIFEST_FILE).write_bytes(data)
    return bundle_id(data)


def read_bundle(folder: Path, *, expect: str | None) -> Bundle:
    """Reads a bundle and checks every file against its hash.

    Args:
        folder: what `write_bundle` filled.
        expect: the id it must have; None takes any.

    Raises:
        InvalidInputError: AvatarInvalid, when anything is missing, damaged, oversized or contradictory.
    """
    with _open(folder / MANIFEST_FILE) as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise invalid(f"the bundle's manifest is larger than {MAX_MANIFEST_BYTES} bytes")
    if expect is not None and bundle_id(data) != expect:
        raise invalid(f"the bundle is {bundle_id(data)}, not {expect}")
    manifest = decode_manifest(data)
    _verify(folder / PICTURES_FILE, manifest.files.pictures)
    _verify(folder / ARRAYS_FILE, manifest.files.arrays)
    masks, arrays = _read_arrays(folder / ARRAYS_FILE, manifest)
    return Bundle(
        name=manifest.name,
        engine=manifest.engine,
        width=manifest.width,
        height=manifest.height,
        times_us=tuple(manifest.times_us),
        boxes=tuple(_box(face) for face in manifest.faces),
        masks=masks,
        pictures=read_pictures(folder / PICTURES_FILE, manifest),
        arrays=arrays,
        notes=tuple(manifest.notes),
    )


def _distinct(masks: Sequence[Mask | None]) -> tuple[list[Mask], list[int | None]]:
    """Different masks once each, and for every picture the number of its mask."""
    found: dict[tuple[bytes, tuple[int, ...]], int] = {}
    distinct: list[Mask] = []
    indices: list[int | None] = []
    for mask in masks:
        if mask is None:
            indices.append(None)
            continue
        if mask.dtype != np.uint8 or mask.ndim != 2:
            raise invalid(f"a mask is {mask.dtype} {mask.shape}; it must be uint8 [h, w]")
        key = sha256(mask.tobytes()).digest(), mask.shape
        if key not in found:
            found[key] = len(distinct)
            distinct.append(mask)
        indices.append(found[key])
    return distinct, indices


def _face(box: Box, index: int, masks: list[Mask]) -> dict[str, int]:
    if masks[index].shape != (box.height, box.width):
        raise invalid(f"a mask of {masks[index].shape} for a box of {box.height}x{box.width}")
    return {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "mask": index}


def _check_pictures(bundle: Bundle) -> None:
    if not 0 < len(bundle.times_us) == len(bundle.pictures) == len(bundle.boxes):
        raise invalid("a bundle needs one picture and one box (or None) for each time")
    if bundle.pictures[0].shape != (bundle.height, bundle.width, 3):
        raise invalid(f"pictures of {bundle.pictures[0].shape} in a bundle of {bundle.width}x{bundle.height}")


def _entry(path: Path) -> dict[str, object]:
    return {"bytes": path.stat().st_size, "sha256": _hash(path)}


def _hash(path: Path) -> str:
    digest = sha256()
    with _open(path) as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _open(path: Path) -> IO[bytes]:
    """Opens a regular file for reading; a link could lead anywhere and a pipe would wait for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise invalid(f"{path.name} of the bundle cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise invalid(f"{path.name} of the bundle is not a regular file")
    return os.fdopen(descriptor, "rb")


def _verify(path: Path, entry: FileEntry) -> None:
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
    if size != entry.bytes:
        raise invalid(f"{path.name} of the bundle has {size} bytes instead of {entry.bytes}")
    if _hash(path) != entry.sha256:
        raise invalid(f"{path.name} of the bundle does not match its hash")


def _read_arrays(path: Path, manifest: Manifest) -> tuple[tuple[Mask | None, ...], Arrays]:
    """The masks of all pictures, identical ones shared, and the engine's arrays."""
    if manifest.files.arrays.bytes > MAX_ARRAYS_BYTES:
        raise invalid(f"the bundle's arrays are larger than {MAX_ARRAYS_BYTES} bytes")
    data = path.read_bytes()
    if int.from_bytes(data[:8], "little") > min(len(data), _MAX_HEADER_BYTES):
        raise invalid("the header of the bundle's arrays is too large")
    try:
        found = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise invalid(f"the bundle's arrays cannot be read: {error}") from None
    masks = tuple(_mask(face, found) for face in manifest.faces)
    arrays = {name.removeprefix(_ARRAY): found[name] for name in found if name.startswith(_ARRAY)}
    return masks, arrays


def _box(face: Face | None) -> Box | None:
    return None if face is None else Box(face.x, face.y, face.width, face.height)


def _mask(face: Face | None, found: Arrays) -> Mask | None:
    if face is None:
        return None
    mask = found.get(f"{_MASK}{face.mask}")
    if mask is None or mask.dtype != np.uint8 or mask.shape != (face.height, face.width):
        what = "missing" if mask is None else f"{mask.dtype} {mask.shape}"
        raise invalid(f"mask {face.mask} is {what}; it must be uint8 {(face.height, face.width)}")
    return mask.astype(np.uint8, copy=False)
