"""How the networks that look for faces run: on one 8-bit RGB picture, in float32, the same every time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import SOURCE_SIDE_MAX
from avatar_inference.bundle import Picture

_FLAGS = threading.Lock()
"""cuDNN's flags are the process's, so that one thread must not put back what another has set."""


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Inference whose result is the same each time, and on a GPU nearly the CPU's.

    There convolutions would otherwise round to TF32's 10 bits, which can move a point by a bin, and with
    cuDNN's benchmark on, which algorithm runs would depend on a race.
    """
    if device.type != "cuda":
        with torch.inference_mode():
            yield
        return
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with _FLAGS, flags, torch.inference_mode():
        yield


def check_picture(picture: Picture, side_min: int = 1) -> None:
    """Refuses anything but uint8 RGB [H, W, 3] with sides of `side_min` to 8192 pixels.

    Raises:
        InvalidInputError: it is something else (InvalidPicture).
    """
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        found = getattr(picture, "dtype", type(picture).__name__)
        raise _invalid(f"must be a uint8 array, not {found}; scale it to 0..255 and convert it")
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise _invalid(f"must be RGB of shape [H, W, 3], not {list(picture.shape)}; convert it")
    height, width = picture.shape[:2]
    if not side_min <= min(height, width) <= max(height, width) <= SOURCE_SIDE_MAX:
        allowed = f"{side_min}..{SOURCE_SIDE_MAX} pixels a side"
        raise _invalid(f"must have {allowed}, not {width}x{height}; scale or cut it")


def as_batch(picture: Picture, device: torch.device) -> Tensor:
    """uint8 [H, W, 3] to float32 [1, 3, H, W], 0 to 255, on the device."""
    channels_first = np.ascontiguousarray(picture.transpose(2, 0, 1))
    return torch.from_numpy(channels_first).to(device).float()[None]


def per_channel(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """Three numbers, shaped to apply to the channels of a batch."""
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(Reason.INVALID_PICTURE, message, field="picture")
