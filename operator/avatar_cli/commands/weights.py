"""`avatar weights`: brings, checks, converts and lists the weights of the musetalk engine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avatar_cli.lazy import NearChoice

if TYPE_CHECKING:
    from avatar_inference.musetalk.weights.catalogue import Part
    from avatar_inference.musetalk.weights.fetch import Bring

_PARTS = ("unet", "vae", "whisper", "landmarks", "detector", "parser")
_FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="AVATAR_WEIGHTS",
    help="Where weights lie.  [default: $AVATAR_WEIGHTS or avatar-operator/weights in the data folder]",
)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def command() -> None:
    """Fetch, check, convert and list the weights of the musetalk engine.

    \b
    Examples:
      avatar weights list
      avatar weights fetch
      avatar weights fetch --with parser --endpoint https://mirror.example.org
      avatar weights verify
    """


@command.command("fetch")
@_FOLDER
@click.option(
    "--with",
    "extra",
    metavar="PARTS",
    default="",
    help="Also these, by commas: detector, parser. `avatar weights list` says why they are left out.",
)
@click.option(
    "--without",
    metavar="PARTS",
    default="",
    help="Not these, by commas: landmarks, if you give every avatar's points yourself.",
)
@click.option(
    "--from",
    "local",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the published files from here instead, found by size and hash.",
)
@click.option(
    "--endpoint",
    envvar="HF_ENDPOINT",
    metavar="URL",
    help="A mirror of the Hugging Face hub.  [default: $HF_ENDPOINT or https://huggingface.co]",
)
@_JSON
def fetch_command(
    folder: Path | None,
    extra: str,
    without: str,
    local: Path | None,
    endpoint: str | None,
    as_json: bool,
) -> None:
    """Bring the weights that are missing, check them and convert them to safetensors; 4.3 GB.

    What is there already is only checked, what was cut off is resumed: the same command again does the rest,
    so it serves as an init container too. --from DIR takes files you have, whatever their names. A token for
    the hub is read from HF_TOKEN.

    \b
    Examples:
      avatar weights fetch
      avatar weights fetch --with detector,parser
      avatar weights fetch --from ~/MuseTalk/models --folder /weights
    """
    from avatar_cli.weights_display import choose
    from avatar_inference.musetalk.layout import MUSETALK
    from avatar_inference.musetalk.weights.fetch import fetch

    folder = _folder(folder)
    parts = _wanted(_named(extra, "--with"), _named(without, "--without"))
    display = choose(as_json=as_json)
    display.begin(folder, parts)
    try:
        fetch(folder, parts, _bring(folder, local, endpoint), display.tell, MUSETALK)
    finally:
        display.end()
    display.done(folder)


@command.command("verify")
@_FOLDER
@click.option("--golden", is_flag=True, help="Draw with them too, and write a report; see below.")
@click.option("--picture", type=_FILE, help="--golden: a photograph of one face.")
@click.option("--landmarks", type=_FILE, help="--golden: JSON of its 68 points.")
@click.option("--audio", type=_FILE, help="--golden: sound.  [default: the built-in voice]")
@click.option(
    "--reference",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="--golden: PNG frames that the published code rendered of picture and audio.",
)
@click.option(
    "--out", default="out", show_default=True, type=click.Path(path_type=Path), help="--golden: folder."
)
@click.option("--device", default="auto", show_default=True, type=NearChoice(["auto", "cpu", "cuda"]))
@click.option("--precision", default="fp32", show_default=True, type=NearChoice(["fp32", "fp16", "bf16"]))
@_JSON
def verify_command(folder: Path | None, golden: bool, as_json: bool, **flags: Any) -> None:
    """Compare every part with its hash and its network, and look for values that are not finite.

    With --golden a photograph is made to speak as well. That gives golden.json and golden.png in --out: a
    sheet of frames to look at, how late the lips are, and with --reference how far the frames are from those
    of the published code (its real-time script, mask jaw, VAE by mode, 25 fps, frames as PNG).

    \b
    Examples:
      avatar weights verify
      avatar weights verify --folder /weights --json
      avatar weights verify --golden --picture portrait.jpg
      avatar weights verify --golden --picture portrait.jpg --audio speech.wav --reference upstream/
    """
    if not golden and any(flags[name] for name in ("picture", "landmarks", "audio", "reference")):
        raise click.UsageError("--picture, --landmarks, --audio and --reference belong to --golden")

    from avatar_inference.musetalk.weights import open_weights

    weights = open_weights(_folder(folder))  # before torch, so that one need not wait to hear of none
    if golden:
        from avatar_cli.golden import run_golden

        run_golden(weights.folder, as_json=as_json, **flags)
        return

    from avatar_inference.musetalk.weights.verify import verify_part

    for part in weights.sha256:
        numbers = verify_part(weights, part)
        row = {"event": "verified", "part": part, "numbers": numbers, "sha256": weights.sha256[part]}
        text = f"✓ {part:<10} {numbers:>11,} numbers, all finite; sha256 {weights.sha256[part]}"
        click.echo(json.dumps(row) if as_json else text)
    whence = "the published ones" if weights.official else "not the published ones"
    row = {"event": "done", "folder": str(weights.folder), "official": weights.official}
    click.echo(json.dumps(row) if as_json else f"The weights in {weights.folder} are whole; {whence}.")


@command.command("convert")
@click.argument("part", type=NearChoice(_PARTS))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_FOLDER
def convert_command(part: str, file: Path, folder: Path | None) -> None:
    """Convert one checkpoint of yours, as a PART of the weights; nothing in FILE is run.

    FILE is safetensors or was saved by torch, and must hold the published network's names and shapes: a UNet
    you trained further, for instance. `fetch` converts what it brings by itself.

    \b
    Example:
      avatar weights convert unet my-unet.pth --folder my-weights
    """
    from avatar_inference.musetalk.layout import MUSETALK
    from avatar_inference.musetalk.weights import write_weights
    from avatar_inference.musetalk.weights.convert import read_part
    from avatar_inference.musetalk.weights.lock import alone

    folder = _folder(folder)
    tensors = read_part(part, file, MUSETALK)
    with alone(folder, lambda: click.echo(f"another process is bringing weights into {folder}", err=True)):
        write_weights(folder, {part: tensors}, MUSETALK)
    click.echo(f"{part} is in {folder}; it has no known origin.")


@command.command("list")
@_FOLDER
@_JSON
def list_command(folder: Path | None, as_json: bool) -> None:
    """Show the parts: what for, how large, under which licence, from where, and whether they are here.

    \b
    Examples:
      avatar weights list
      avatar weights list --json | jq 'select(.state != "here") | .part'
    """
    from avatar_cli.weights_display import entry, row_of
    from avatar_inference.musetalk.weights.catalogue import PARTS

    folder = _folder(folder)
    rows = [row_of(part, _state(folder, part.name)) for part in PARTS]
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False) if as_json else entry(row))
    if not as_json:
        click.echo(f"\nFolder: {folder}")


def _folder(chosen: Path | None) -> Path:
    from avatar_inference.musetalk.weights import default_folder

    return chosen or default_folder()


def _named(parts: str, flag: str) -> list[str]:
    from avatar_inference.musetalk.weights import catalogue

    names = [name.strip() for name in parts.split(",") if name.strip()]
    for name in names:
        if name not in catalogue.BY_NAME:
            known = ", ".join(catalogue.BY_NAME)
            raise click.BadParameter(f"{name!r} is none of {known}", param_hint=flag)
    return names


def _wanted(extra: list[str], without: list[str]) -> list[Part]:
    from avatar_inference.musetalk.weights import catalogue

    parts = [part for part in catalogue.PARTS if not part.optional or part.name in extra]
    return [part for part in parts if part.name not in without]


def _bring(folder: Path, local: Path | None, endpoint: str | None) -> Bring:
    from avatar_inference.musetalk.weights.hub import HUB, Hub
    from avatar_inference.musetalk.weights.supply import from_folder, from_hub

    if local is not None:
        return from_folder(local)
    hub = Hub(endpoint=endpoint or HUB, token=os.environ.get("HF_TOKEN", "").strip() or None)
    hub.base()
    return from_hub(folder, hub)


def _state(folder: Path, part: str) -> str:
    from avatar_core.errors import AvatarError
    from avatar_inference.musetalk.weights import open_weights

    try:
        return "here" if open_weights(folder).has(part) else "missing"
    except AvatarError as error:
        return "missing" if error.reason == "WeightsMissing" else "damaged"
