"""`avatar demo`: a first talking video, the same way every later one is made."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click


@click.command()
@click.option(
    "-o",
    "--output",
    default="out/hello.mp4",
    show_default=True,
    metavar="FILE.mp4",
    type=click.Path(dir_okay=False, path_type=Path),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(output: Path, as_json: bool) -> None:
    """Make a first talking video: examples/hello.yaml, drawn by a server of its own over a real socket.

    \b
    Examples:
      avatar demo
      avatar demo -o hello.mp4
    """
    from avatar_cli.commands.run import make_and_tell
    from avatar_cli.making import Delivery
    from avatar_cli.request import requests

    manifest = files("avatar_cli").joinpath("hello.yaml").read_text(encoding="utf-8")
    make_and_tell(requests(manifest, "hello.yaml", {}), Delivery(output=output), as_json=as_json)
