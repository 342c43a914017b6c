"""Checkpoints as their publishers save them, of small networks, and the catalogue that lists them."""

from __future__ import annotations

import re
import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from avatar_inference.musetalk.layout import TINY, ModelLayout
from avatar_inference.musetalk.weights import catalogue
from avatar_inference.musetalk.weights.catalogue import Part
from avatar_inference.musetalk.weights.modules import fresh_module

Tensors = dict[str, Tensor]
LEGACY = {"detector", "parser"}
"""Published before torch saved zip archives."""
_NEW = re.compile(r"(attentions\.\d+)\.(to_q|to_k|to_v|to_out\.0)\.")
_OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def networks(layout: ModelLayout = TINY, seed: int = 7) -> dict[str, Tensors]:
    """Random weights of every part, by our names."""
    torch.manual_seed(seed)
    return {part.name: dict(fresh_module(part.name, layout).state_dict()) for part in catalogue.PARTS}


def as_published(part: str, tensors: Tensors) -> Any:
    """What the publisher's torch.save was given."""
    if part == "vae":
        return {old_name(name): tensor for name, tensor in tensors.items()}
    if part == "whisper":
        decoder = {"model.decoder.layers.0.encoder_attn.k_proj.weight": torch.ones(2, 2)}
        encoder = {f"model.encoder.{name}": tensor for name, tensor in tensors.items()}
        return encoder | decoder | {"proj_out.weight": torch.ones(2)}
    if part == "landmarks":
        return _openmmlab(tensors)
    return OrderedDict(tensors)


def old_name(name: str) -> str:
    """What diffusers called the VAE's attention before version 0.17."""
    return _NEW.sub(lambda found: f"{found[1]}.{_OLD[found[2]]}.", name)


def _openmmlab(tensors: Tensors) -> dict[str, Any]:
    """With an optimizer's state and a log of objects whose classes nobody here has."""
    module = ModuleType("mmengine_like")
    buffer = type("HistoryBuffer", (), {"__module__": module.__name__})
    vars(module)["HistoryBuffer"] = buffer
    sys.modules[module.__name__] = module
    log = buffer()
    log.__dict__.update(history=np.arange(5.0), size=np.float64(3.5))
    return {
        "meta": {"epoch": 270, "classes": ("person",), "seen": {1, 2}},
        "state_dict": OrderedDict(tensors) | {"data_preprocessor.mean": torch.ones(3, 1, 1)},
        "message_hub": {"log": log},
        "optimizer": {"state": {0: {"step": 3, "average": torch.ones(7)}}, "param_groups": [{"lr": 1e-3}]},
    }


def save(path: Path, content: Any, *, legacy: bool = False) -> Path:
    """As torch.save; what is pickled of `_openmmlab` can't be unpickled afterwards."""
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    sys.modules.pop("mmengine_like", None)
    return path


def publish(folder: Path, tensors: Mapping[str, Tensors]) -> tuple[tuple[Part, ...], dict[str, bytes]]:
    """A catalogue of these weights, and what a mirror serves for it."""
    parts, files = [], {}
    for part in catalogue.PARTS:
        origins = []
        for origin in part.origins:
            path = folder / f"{part.name}-{Path(origin.file).name}"
            content = as_published(part.name, tensors[part.name])
            if origin.file.endswith(".safetensors"):
                save_file({name: tensor.contiguous() for name, tensor in content.items()}, path)
            else:
                save(path, content, legacy=part.name in LEGACY)
            data = path.read_bytes()
            files[f"/{origin.repository}/resolve/{origin.revision}/{origin.file}"] = data
            origins.append(replace(origin, bytes=len(data), sha256=sha256(data).hexdigest()))
        parts.append(replace(part, origins=tuple(origins)))
    return tuple(parts), files
