"""Published checkpoints, tensor by tensor: safetensors, and torch's two formats without unpickling."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from avatar_inference.musetalk.weights.files import check_header, invalid, open_regular
from avatar_inference.musetalk.weights.pickled import Call
from avatar_inference.musetalk.weights.record import MAX_PART_BYTES
from avatar_inference.musetalk.weights.storage import Storages, Stored, open_storages, storage_of

_DAMAGED = (
    *(ValueError, KeyError, EOFError, struct.error),
    *(BadZipFile, NotImplementedError, RuntimeError, OSError),  # zipfile: methods, passwords, places
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tensors of an open file.

    Attributes:
        shapes: by name.
        tensor: reads one by its name, in the type it is stored in.
    """

    shapes: Mapping[str, tuple[int, ...]]
    tensor: Callable[[str], Tensor]


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """Opens a file of tensors; what it is shows in its first bytes.

    Args:
        path: safetensors, or saved by torch: a dict of tensors, or a dict that has one as "state_dict".

    Raises:
        WeightsError: WeightsInvalid, when it is none of these or is damaged; also while it is read.
    """
    with open_regular(path) as file:
        start, size = file.read(9), file.seek(0, 2)
    if size > 2 * MAX_PART_BYTES:
        raise invalid(f"{path} has {size} bytes; at most {2 * MAX_PART_BYTES} are read")
    try:
        with _safetensors(path) if start[8:] == b"{" else _torch(path) as checkpoint:
            yield checkpoint
    except SafetensorError as error:
        raise invalid(f"{path} can't be read as safetensors: {error}") from None
    except _DAMAGED as error:
        raise invalid(f"{path} can't be read as a checkpoint of torch: {error}") from None


@contextmanager
def _safetensors(path: Path) -> Iterator[Checkpoint]:
    check_header(path)
    with safe_open(path, framework="pt") as file:
        names = file.offset_keys()
        yield Checkpoint({name: tuple(file.get_slice(name).get_shape()) for name in names}, file.get_tensor)


@contextmanager
def _torch(path: Path) -> Iterator[Checkpoint]:
    with open_regular(path) as file, open_storages(file) as storages:
        views = {name: _view(name, value) for name, value in _state(storages.content).items()}
        _check_sharing(views, path.stat().st_size)
        yield Checkpoint(
            {name: view.shape for name, view in views.items()}, lambda name: views[name].read(storages)
        )


def _state(content: object) -> dict[str, object]:
    """The tensors' dict, which training scripts wrap together with an optimizer's state and more."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError("it holds no dict of tensors by name")
    return cast("dict[str, object]", content)


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor as torch keeps it: a window into a storage.

    Attributes:
        storage: that it lies in.
        offset: of its first element, in elements.
        shape: rows, columns and so on.
        stride: elements from one to the next along each dimension.
    """

    storage: Stored
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self, storages: Storages) -> Tensor:
        flat = torch.frombuffer(storages.read(self.storage), dtype=self.storage.dtype)
        return flat.as_strided(self.shape, self.stride, self.offset).contiguous()


def _view(name: str, value: object) -> _View:
    """Reads a call of torch's that would rebuild a tensor or a parameter."""
    if isinstance(value, Call) and value.function == "torch._utils._rebuild_parameter":
        value = cast("tuple[object, ...]", value.arguments)[0]
    if not isinstance(value, Call) or value.function not in _REBUILD:
        raise ValueError(f"{name[:200]} is no tensor")
    storage, offset, shape, stride = cast("tuple[object, ...]", value.arguments)[:4]
    view = _View(storage_of(storage), _size(offset), _sizes(shape), _sizes(stride))
    _check_inside(name, view)
    return view


_REBUILD = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")


def _size(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_PART_BYTES:
        raise ValueError(f"{value!r:.50} is no size")
    return value


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > 8:
        raise ValueError(f"{value!r:.50} is no shape")
    return tuple(_size(item) for item in value)


def _check_inside(name: str, view: _View) -> None:
    """Strides could repeat one element a billion times, or reach out of the storage."""
    count, last = 1, view.offset
    for size, step in zip(view.shape, view.stride, strict=True):
        count *= size
        last += max(size - 1, 0) * step
    if count > view.storage.count or (count and last >= view.storage.count):
        raise ValueError(f"{name[:200]} reaches out of its storage")


def _check_sharing(views: Mapping[str, _View], size: int) -> None:
    """A few tensors share a storage; thousands of one would be read for hours."""
    if sum(view.storage.bytes for view in views.values()) > 2 * size:
        raise ValueError("its tensors add up to more than twice the file")
