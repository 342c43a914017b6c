"""Looks at every number of a folder of weights."""

from __future__ import annotations

from avatar_inference.musetalk.weights.files import invalid
from avatar_inference.musetalk.weights.folder import Weights, part_file
from avatar_inference.musetalk.weights.modules import empty_module
from avatar_inference.musetalk.weights.shapes import check_shapes


def verify_part(weights: Weights, part: str) -> int:
    """Compares a part with its hash and its network, and looks for values that are not finite.

    Args:
        weights: the folder.
        part: that is there.

    Returns:
        How many numbers it has.

    Raises:
        WeightsError: WeightsMissing or WeightsInvalid, saying what is wrong.
    """
    tensors = weights.tensors(part)
    where = str(part_file(weights.folder, part))
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    check_shapes(where, shapes, empty_module(part, weights.layout))
    broken = sorted(name for name, tensor in tensors.items() if not tensor.isfinite().all())
    if broken:
        raise invalid(f"{where} holds values that are not finite, in {', '.join(broken[:3])}")
    return sum(tensor.numel() for tensor in tensors.values())
