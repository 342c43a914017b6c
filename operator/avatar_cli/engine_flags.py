"""Flags that say how an inference server draws; the same wherever a command starts a server of its own."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from avatar_cli.lazy import NearChoice

if TYPE_CHECKING:
    from avatar_inference.server import ServerSettings

Command = TypeVar("Command", bound=Callable[..., Any])

_FLAGS = (
    click.option("--engine", default="preview", show_default=True, type=NearChoice(["preview", "musetalk"])),
    click.option(
        "--weights",
        metavar="FOLDER",
        type=click.Path(file_okay=False, path_type=Path),
        help="musetalk: what `avatar weights fetch` filled.  [default: $AVATAR_WEIGHTS or the data folder]",
    ),
    click.option(
        "--device",
        default="auto",
        show_default=True,
        type=NearChoice(["auto", "cpu", "cuda"]),
        help="musetalk: where to draw.",
    ),
    click.option(
        "--precision",
        default="auto",
        show_default=True,
        type=NearChoice(["auto", "fp32", "fp16", "bf16"]),
        help="musetalk: auto is fp16 on a GPU, fp32 on a CPU.",
    ),
    click.option(
        "--windows",
        default="aligned",
        show_default=True,
        type=NearChoice(["aligned", "upstream"]),
        help="musetalk: sound centred on each frame, or as the published code places it.",
    ),
)
NAMES = ("engine", "weights", "device", "precision", "windows")


@dataclass(frozen=True, slots=True)
class EngineFlags:
    """What these flags were."""

    engine: str = "preview"
    weights: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    windows: str = "aligned"

    def settings(self, **others: Any) -> ServerSettings:
        """A server's settings with this engine; `others` are its further fields."""
        from avatar_inference.musetalk.settings import MuseTalkSettings
        from avatar_inference.musetalk.weights import default_folder
        from avatar_inference.musetalk.windows import Windows
        from avatar_inference.server import ServerSettings

        musetalk = MuseTalkSettings(
            weights=self.weights or default_folder(),
            device=self.device,  # type: ignore[arg-type]
            precision=self.precision,  # type: ignore[arg-type]
            windows=Windows(self.windows),
        )
        return ServerSettings(engine=self.engine, musetalk=musetalk, **others)

    def as_typed(self) -> str:
        """The flags that give these, a blank before each; what is so without a flag is left out."""
        usual = EngineFlags()
        given = {name: getattr(self, name) for name in NAMES if getattr(self, name) != getattr(usual, name)}
        return "".join(f" --{name} {shlex.quote(str(value))}" for name, value in given.items())


def engine_flags(command: Command) -> Command:
    """Gives a command these flags; `taken` collects them."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def taken(flags: dict[str, Any]) -> EngineFlags:
    """The engine's part of a command's flags."""
    return EngineFlags(**{name: flags[name] for name in NAMES})
