"""`avatar prepare`: a photograph or a video becomes an avatar."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avatar_cli.board import Board
from avatar_cli.display import choose
from avatar_cli.engine_flags import NAMES, engine_flags, taken
from avatar_cli.own_server import server_at
from avatar_core import limits

if TYPE_CHECKING:
    from avatar_inference.client import FaceBox, Prepared, RepaintOptions
    from avatar_inference.engine import MaskMode

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


class CheeksType(click.ParamType[tuple[int, int]]):
    """LEFT,RIGHT in 512ths of the square about the face."""

    name = "left,right"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Two whole numbers of 0 to 256."""
        try:
            left, right = (int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} must be two whole numbers such as 90,90", param, ctx)
        if not (0 <= left <= limits.CHEEK_MAX and 0 <= right <= limits.CHEEK_MAX):
            self.fail(f"{value!r}: both must be 0 to {limits.CHEEK_MAX}", param, ctx)
        return left, right


class RateType(click.ParamType[Fraction]):
    """Pictures per second, as a number or a fraction."""

    name = "rate"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """A fraction of 5 to 60 with terms that can be sent."""
        low, high = limits.MOTION_FPS_MIN, limits.MOTION_FPS_MAX
        try:
            rate = Fraction(value[:32])
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} must be a number or a fraction such as 30000/1001", param, ctx)
        if not low <= rate <= high:
            self.fail(f"{value!r} must be {low} to {high} pictures per second", param, ctx)
        if rate.denominator > 1_000_000 or len(value) > 32:
            self.fail(f"{value!r} must have terms of at most 1000000", param, ctx)
        return rate


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
@click.option("--fps", type=RateType(), help="Pictures per second to keep of a video.  [default: all]")
@click.option(
    "--side-max",
    type=click.IntRange(limits.PICTURE_SIDE_LOW, limits.PICTURE_SIDE_HIGH),
    default=limits.PICTURE_SIDE_MAX,
    show_default=True,
    help="Scale larger pictures down to this long side, in pixels.",
)
@click.option(
    "--landmarks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON of the face's 68 points in every picture.  [default: they are looked for]",
)
@click.option(
    "--mask",
    type=click.Choice(["landmarks", "jaw", "raw", "neck"]),
    default="landmarks",
    show_default=True,
    help="What of the face is repainted: by the points, or as a face parser sees it.",
)
@click.option(
    "--cheeks",
    type=CheeksType(),
    default="90,90",
    show_default=True,
    help="For --mask jaw: how wide the part between the cheeks is.",
)
@click.option(
    "--margin",
    type=click.IntRange(0, limits.MARGIN_MAX),
    help="Pixels to repaint below the chin.  [default: 10, in large pictures as the face is large]",
)
@click.option(
    "--shift",
    type=click.IntRange(-limits.SHIFT_MAX, limits.SHIFT_MAX),
    default=0,
    help="Pixels by which the repainted half begins lower; less than 0: higher.",
)
@click.option("--keep-jitter", is_flag=True, help="Take the points as they are, picture by picture.")
@click.option("--keep-ends", is_flag=True, help="Keep all of a video; else its ends are cut where it rests.")
@click.option("--server", metavar="HOST:PORT", help="Prepare there.  [default: a server of its own]")
@engine_flags
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    file: Path,
    name: str | None,
    face_box: FaceBox | None,
    face: int,
    preview: Path | None,
    fps: Fraction | None,
    side_max: int,
    server: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Make an avatar from FILE, a photograph or a short video of one face.

    \b
    Examples:
      avatar prepare portrait.jpg
      avatar prepare group.jpg --face 2
      avatar prepare portrait.png --face-box 120,80,256,256
      avatar prepare clip.mp4 --engine musetalk --landmarks clip.json --fps 25

    The options from --landmarks to --keep-ends are for servers whose engine repaints the lower face.
    """
    name = name or file.stem
    preview = preview or Path("out") / f"{file.stem}-preview.png"
    wanted = {
        "name": name,
        "face_box": face_box,
        "face_index": face,
        "fps": fps,
        "side_max": side_max,
        "repaint": _repaint(**{flag: value for flag, value in flags.items() if flag not in NAMES}),
    }

    async def prepare() -> Prepared:
        async with Board(choose(as_json=as_json), name) as board, server_at(server, taken(flags)) as target:
            return await _prepare(target, file, wanted, board)

    prepared = asyncio.run(prepare())
    preview.parent.mkdir(parents=True, exist_ok=True)
    preview.write_bytes(prepared.preview_png)
    where = f" --server {server}" if server else taken(flags).as_typed()
    click.echo(_as_json(prepared, preview) if as_json else _as_text(prepared, preview, where))


def _repaint(
    landmarks: Path | None,
    mask: MaskMode,
    cheeks: tuple[int, int],
    margin: int | None,
    shift: int,
    keep_jitter: bool,
    keep_ends: bool,
) -> RepaintOptions:
    """Raises InvalidInputError for a landmarks file that is not as it must be."""
    from avatar_inference.client import RepaintOptions
    from avatar_inference.landmarks import read_landmarks

    given = None if landmarks is None else read_landmarks(landmarks)
    return RepaintOptions(
        landmarks=None if given is None else given.points,
        landmarks_size=None if given is None else (given.width, given.height),
        smooth=not keep_jitter,
        mask=mask,
        cheeks=cheeks,
        margin=margin,
        shift=shift,
        still_ends=not keep_ends,
    )


async def _prepare(target: str, file: Path, wanted: dict[str, Any], board: Board) -> Prepared:
    from avatar_core.errors import InferenceError, Reason
    from avatar_inference.client import InferenceClient, Prepared

    async with InferenceClient(target) as client:
        async for event in client.prepare(_pieces(file), **wanted):
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


def _as_text(prepared: Prepared, preview: Path, where: str) -> str:
    """For people; `where` are the flags that find the same engine again."""
    pictures = "1 picture" if prepared.pictures == 1 else f"{prepared.pictures} pictures"
    lines = [prepared.avatar, f"  {pictures} of {prepared.width}x{prepared.height}; see {preview}"]
    lines += [f"  {finding.reason}: {finding.message}" for finding in prepared.findings]
    return "\n".join([*lines, f'Next: avatar run --text "Hello!" --avatar {prepared.avatar}{where}'])
