"""Published checkpoints to the names and shapes our networks have. Done once; what is kept is safetensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from avatar_inference.musetalk.layout import ModelLayout
from avatar_inference.musetalk.weights.checkpoint import Checkpoint, open_checkpoint
from avatar_inference.musetalk.weights.modules import empty_module
from avatar_inference.musetalk.weights.shapes import check_shapes

_OLD_ATTENTION = re.compile(r"(\.attentions\.\d+)\.(query|key|value|proj_attn)\.")
_NEW_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_ENCODER = re.compile(r"(?:model\.)?encoder\.(.+)")
_COUNTER = ".num_batches_tracked"


def read_part(part: str, path: Path, layout: ModelLayout) -> dict[str, Tensor]:
    """Reads a part from its published file.

    Args:
        part: a name of `catalogue.PARTS`.
        path: safetensors or a checkpoint of torch; nothing in it is run.
        layout: sizes its network must have.

    Returns:
        By the network's own names, in the network's shapes, as stored; `write_weights` makes them float32.

    Raises:
        WeightsError: WeightsInvalid, when it can't be read or differs from the network.
    """
    module = empty_module(part, layout)
    with open_checkpoint(path) as checkpoint:
        origins = {new: old for old in checkpoint.shapes if (new := our_name(part, old)) is not None}
        shapes = _fitted_shapes(module, checkpoint, origins)
        missing = _counters(module, shapes)
        check_shapes(str(path), shapes | dict.fromkeys(missing, ()), module)
        tensors = {new: checkpoint.tensor(old).reshape(shapes[new]) for new, old in origins.items()}
    return tensors | {name: torch.zeros((), dtype=torch.long) for name in missing}


def our_name(part: str, name: str) -> str | None:
    """What a published tensor is called here.

    vae: the names attention had before diffusers 0.17 become today's, as diffusers' own loader makes them.
    whisper: the encoder's alone, without prefix. landmarks: what else is in the file is preprocessing.

    Returns:
        The name, or None if the tensor is not needed.
    """
    if part == "vae":
        return _OLD_ATTENTION.sub(lambda found: f"{found[1]}.{_NEW_ATTENTION[found[2]]}.", name)
    if part == "whisper":
        encoder = _ENCODER.fullmatch(name)
        return encoder[1] if encoder else None
    if part == "landmarks":
        return name if name.startswith(("backbone.", "head.")) else None
    return name


def _fitted_shapes(
    module: nn.Module, checkpoint: Checkpoint, origins: Mapping[str, str]
) -> dict[str, tuple[int, ...]]:
    """Attention's matrices were 1x1 convolutions once: [C, C, 1, 1] stands for [C, C]."""
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    shapes = {new: checkpoint.shapes[old] for new, old in origins.items()}
    return {
        name: shape[:2] if shape == (*expected.get(name, ()), 1, 1) else shape
        for name, shape in shapes.items()
    }


def _counters(module: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Counters of batch norms that checkpoints older than torch 0.4.1 lack; nothing is computed from them."""
    return [name for name in module.state_dict() if name.endswith(_COUNTER) and name not in shapes]
