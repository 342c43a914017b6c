"""How the `musetalk` engine runs. Importing this loads none of its libraries."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avatar_inference.musetalk.weights import default_folder
from avatar_inference.musetalk.windows import Windows


@dataclass(frozen=True, slots=True)
class MuseTalkSettings:
    """Choices for the engine.

    Attributes:
        weights: folder that `avatar weights fetch` filled.
        device: "auto" takes a GPU when there is one.
        precision: of networks; "auto" is fp16 on a GPU and fp32 on the CPU. bf16 is up to eight times as far
            from fp32 as fp16 is.
        windows: how windows of sound are placed; "upstream" reproduces the published code, lag and all.
    """

    weights: Path = field(default_factory=default_folder)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    windows: Windows = Windows.ALIGNED
