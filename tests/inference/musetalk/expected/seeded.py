"""Weights and pictures that are the same on every machine: uniform numbers of a bit generator's raw bits.

NumPy promises that raw streams never change, which it does not for normal numbers, nor torch for any. Each
tensor's stream depends on its name, so the order of a state dict does not matter. Values are:

- of norms: variances and scales 0.5 to 1.5, means and biases (all biases) -0.1 to 0.1;
- kernels and matrices: uniform about 0 with variance 2 / inputs, unless a function below says more.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shapes = Mapping[str, tuple[int, ...]]
Arrays = dict[str, NDArray[Any]]

SCALES = ("running_var", "gamma", "scale", "g")
"""Last parts of names of tensors about 1, beside one-dimensional weights."""


def uniform(seed: int, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """0 to 1, in steps of 2**-24."""
    bits = np.random.PCG64([seed, zlib.crc32(name.encode())]).random_raw(int(np.prod(shape, dtype=int)))
    return ((bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)).reshape(shape)


def weights(shapes: Shapes, seed: int) -> Arrays:
    return {name: _tensor(seed, name, tuple(shape)) for name, shape in shapes.items()}


def rtmpose_weights(shapes: Shapes, seed: int) -> Arrays:
    """Made so that points depend on the picture and not on a common mean of features or tokens."""
    made = weights(shapes, seed)
    kernel = made["head.final_layer.weight"]
    kernel -= kernel.mean(axis=(1, 2, 3), keepdims=True)
    made["head.gau.o.weight"] *= np.float32(1 / 32)
    return made


def bisenet_weights(shapes: Shapes, seed: int) -> Arrays:
    """With logits of the size that trained ones have."""
    made = weights(shapes, seed)
    made["conv_out.conv_out.weight"] *= np.float32(1 / 64)
    return made


def s3fd_weights(shapes: Shapes, seed: int) -> Arrays:
    """For pixels of -128 to 128; each grid says "face" at a few places."""
    made = weights(shapes, seed)
    made["conv1_1.weight"] *= np.float32(1 / 64)
    for grid, shift in FACE_SHIFTS.items():
        if grid.endswith("norm"):
            made[f"{grid}.weight"] *= np.float32(20)
        made[f"{grid}_mbox_conf.bias"][-1] += np.float32(shift)
    return made


FACE_SHIFTS = {
    "conv3_3_norm": -0.7,
    "conv4_3_norm": -1.0,
    "conv5_3_norm": 0.0,
    "fc7": -1.0,
    "conv6_2": -1.0,
    "conv7_2": 0.0,
}
"""Added to the logit of "face", by grid."""


def listing(shapes: Shapes) -> NDArray[np.str_]:
    """Names and shapes, one string each, in the state dict's own order."""
    return np.array([f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items()])


def picture(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """uint8 RGB [height, width, 3]: coloured squares of 16 pixels, with grain."""
    squares = uniform(seed, "squares", (-(-height // 16), -(-width // 16), 3))
    large = np.kron(squares, np.ones((16, 16, 1), np.float32))[:height, :width]
    grain = uniform(seed, "grain", (height, width, 3))
    return (large * 200 + grain * 55).astype(np.uint8)


def _tensor(seed: int, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    u = uniform(seed, name, shape)
    last = name.rsplit(".", 1)[-1]
    if last in SCALES or (last == "weight" and len(shape) == 1):
        return u + np.float32(0.5)
    if len(shape) < 2 or last == "beta":
        return (u - np.float32(0.5)) * np.float32(0.2)
    inputs = np.prod(shape[1:], dtype=int)
    return (u * 2 - 1) * np.float32((3 * 2 / inputs) ** 0.5)
