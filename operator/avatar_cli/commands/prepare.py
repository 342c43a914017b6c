"""`avatar prepare`: a photograph or a video becomes an avatar."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avatar_cli.board import Board
from avatar_cli.display import choose
from avatar_cli.own_server import server_at

if TYPE_CHECKING:
    from avatar_inference.client import FaceBox, Prepared

PIECE_BYTES = 256 * 1024


class BoxType(click.ParamType[tuple[int, int, int, int]]):
    """X,Y,WIDTH,HEIGHT in pixels."""

    name = "x,y,width,height"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> FaceBox:
        """Four whole numbers, the last two above 0."""
        try:
            x, y, width, height = (int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} must be four whole numbers such as 120,80,256,256", param, ctx)
        if min(x, y) < 0 or min(width, height) < 1:
            self.fail(f"{value!r}: x and y must be at least 0, width and height at least 1", param, ctx)
        return x, y, width, height


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="A name for people.  [default: the file's]")
@click.option("--face-box", type=BoxType(), help="Where the face is, in pixels.  [default: it is looked for]")
@click.option(
    "--face", default=0, type=click.IntRange(0, 16), help="Of several faces, from the largest: 1, 2, …"
)
@click.option(
    "--preview", type=click.Path(dir_okay=False, path_type=Path), help="PNG of box and mask to write."
)
@click.option("--server", metavar="HOST:PORT", help="Prepare there.  [default: a server of its own]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    file: Path,
    name: str | None,
    face_box: FaceBox | None,
    face: int,
    preview: Path | None,
    server: str | None,
    as_json: bool,
) -> None:
    """Make an avatar from FILE, a photograph or a short video of one face.

    \b
    Examples:
      avatar prepare portrait.jpg
      avatar prepare group.jpg --face 2
      avatar prepare portrait.png --face-box 120,80,256,256
    """
    name = name or file.stem
    preview = preview or Path("out") / f"{file.stem}-preview.png"

    async def prepare() -> Prepared:
        async with Board(choose(as_json=as_json), name) as board, server_at(server) as target:
            return await _prepare(target, file, name, face_box, face, board)

    prepared = asyncio.run(prepare())
    preview.parent.mkdir(parents=True, exist_ok=True)
    preview.write_bytes(prepared.preview_png)
    click.echo(_as_json(prepared, preview) if as_json else _as_text(prepared, preview))


async def _prepare(
    target: str, file: Path, name: str, box: FaceBox | None, face: int, board: Board
) -> Prepared:
    from avatar_core.errors import InferenceError, Reason
    from avatar_inference.client import InferenceClient, Prepared

    async with InferenceClient(target) as client:
        async for event in client.prepare(_pieces(file), name=name, face_box=box, face_index=face):
            if isinstance(event, Prepared):
                board.update("prepare", "pictures", event.pictures, event.pictures, finished=True)
                return event
            board.update("prepare", "pictures", event.done, event.total, note=event.stage)
    raise InferenceError(Reason.INFERENCE_UNAVAILABLE, f"{target} ended without a result")


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        while piece := await asyncio.to_thread(source.read, PIECE_BYTES):
            yield piece


def _as_json(prepared: Prepared, preview: Path) -> str:
    findings = [
        {"reason": f.reason, "message": f.message, "first": f.first_picture, "last": f.last_picture}
        for f in prepared.findings
    ]
    entry = {
        "event": "prepared",
        "avatar": prepared.avatar,
        "width": prepared.width,
        "height": prepared.height,
        "pictures": prepared.pictures,
        "findings": findings,
        "preview": str(preview),
    }
    return json.dumps(entry, ensure_ascii=False)


def _as_text(prepared: Prepared, preview: Path) -> str:
    pictures = "1 picture" if prepared.pictures == 1 else f"{prepared.pictures} pictures"
    lines = [prepared.avatar, f"  {pictures} of {prepared.width}x{prepared.height}; see {preview}"]
    lines += [f"  {finding.reason}: {finding.message}" for finding in prepared.findings]
    return "\n".join([*lines, f'Next: avatar run --text "Hello!" --avatar {prepared.avatar}'])
