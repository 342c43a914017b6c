"""Our networks with the seeded weights, and stored expectations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tests.inference.musetalk.expected import seeded
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def stored(name: str) -> dict[str, NDArray[Any]]:
    with np.load(Path(__file__).with_name(f"{name}.npz"), allow_pickle=False) as file:
        return dict(file)


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def filled(
    module: Module, recipe: Callable[[seeded.Shapes, int], Mapping[str, NDArray[Any]]], seed: int
) -> Module:
    made = recipe(shapes(module), seed)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in made.items()}, strict=True)
    return module.eval()


def relative(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Length of the difference in lengths of what was expected."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
