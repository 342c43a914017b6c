"""Whether tensors are those a module wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from avatar_inference.musetalk.weights.files import invalid

if TYPE_CHECKING:
    from torch import nn

Shapes = Mapping[str, tuple[int, ...]]
"""By name of a tensor."""


def differences(expected: Shapes, found: Shapes) -> str:
    """What differs, in words; empty when nothing does."""
    wrong = [
        f"{name} is {list(found[name])} instead of {list(expected[name])}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    told = [
        _some("lacks", expected.keys() - found.keys()),
        _some("has unknown", found.keys() - expected.keys()),
        _some("shapes differ:", wrong),
    ]
    return "; ".join(part for part in told if part)


def _some(what: str, items: Iterable[str]) -> str:
    """Three examples and how many more: a wrong file differs in hundreds of names."""
    ordered = sorted(items)
    if not ordered:
        return ""
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return f"{what} {', '.join(ordered[:3])}{more}"


def check_shapes(where: str, found: Shapes, module: nn.Module) -> None:
    """Compares names and shapes with a module's.

    Args:
        where: the file, for the message.
        found: in the file.
        module: that is to be filled; may be on torch's "meta" device.

    Raises:
        WeightsError: WeightsInvalid, saying what differs.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    if what := differences(expected, found):
        raise invalid(f"{where} does not fit: {what}")
