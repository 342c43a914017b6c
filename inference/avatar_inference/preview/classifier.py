"""From spectra to visemes: a small neural network, trained off line by training/train_lips.py."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from avatar_inference.preview.spectrum import BANDS

AHEAD = 6
"""Spectra it looks ahead of the one it judges."""
BEHIND = 10
"""Spectra it looks back."""
_ROWS = np.array([-10, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6]) + BEHIND
INPUTS = len(_ROWS) * BANDS
_WEIGHTS = Path(__file__).with_name("lips.safetensors")

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""(weight [inputs, outputs], bias [outputs]) of each layer; ReLU between them, softmax after the last."""


def contexts(bands: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the network sees: the bands around a spectrum against the speech level, scaled to -1..1.

    Args:
        bands: decibels, float64 [n + BEHIND + AHEAD, BANDS].
        levels: the speech level at the newest spectrum of each context, float64 [n], decibels.

    Returns:
        float32 [n, INPUTS]; row k is about spectrum k + BEHIND of `bands`.
    """
    around = np.lib.stride_tricks.sliding_window_view(bands, BEHIND + AHEAD + 1, axis=0)[:, :, _ROWS]
    relative = np.clip(around - levels[:, None, None], -60, 0)
    return (relative / 30 + 1).reshape(len(levels), INPUTS).astype(np.float32)


def posteriors(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """How likely each viseme is: float32 [n, len(Viseme)], rows add up to 1. `inputs` are `contexts`."""
    flow = inputs[:, None, :]
    *hidden, last = _layers()
    for weight, bias in hidden:
        flow = np.maximum(flow @ weight + bias, 0)  # one row a product, as in band_energies
    weight, bias = last
    logits = (flow @ weight + bias)[:, 0]
    odds: NDArray[np.float32] = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return odds


@cache
def _layers() -> Layers:
    arrays = {name: array.astype(np.float32) for name, array in load_file(_WEIGHTS).items()}
    return [(arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in range(len(arrays) // 2)]
