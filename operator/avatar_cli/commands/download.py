"""`avatar download`: a session's video as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avatar_cli.cluster.flags import cluster_flags, on_cluster, session_name
from avatar_cli.cluster.target import Target
from avatar_cli.display import choose

if TYPE_CHECKING:
    from avatar_cli.board import Board
    from avatar_cli.cluster.connection import Cluster
    from avatar_cli.cluster.session import Session

_STOPPED = "stopped; what has come so far is kept, and the same command goes on with it"


@click.command()
@session_name
@cluster_flags
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to put it.  [default: NAME.mp4]",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(target: Target, name: str, output: Path | None, force: bool, as_json: bool) -> None:
    """Fetch the video of the session NAME, waiting until it is made.

    A download that is cut off goes on where it was, also when it is called again. The file appears only when
    it is whole and its SHA-256 is the one in the session's status. Exit code: that of the session's reason
    when it fails.

    \b
    Examples:
      kubectl avatar download hello
      kubectl avatar download hello -n team -o out/hello.mp4
    """
    file = output or Path(f"{name}.mp4")
    session = on_cluster(target, lambda cluster: _download(cluster, name, file, force, as_json), _STOPPED)
    from avatar_cli.cluster.describing import video_line

    if as_json:
        video = session.status.video
        assert video is not None
        facts = {"bytes": video.bytes, "sha256": video.sha256}
        click.echo(json.dumps({"event": "downloaded", "name": name, "file": str(file), **facts}))
    else:
        click.echo(f"{file}\n  video    {video_line(session)}")


async def _download(cluster: Cluster, name: str, file: Path, force: bool, as_json: bool) -> Session:
    from avatar_cli.board import Board
    from avatar_cli.cluster.download import refuse_existing
    from avatar_cli.cluster.following import follow_to_the_end
    from avatar_cli.cluster.sessions import Sessions

    refuse_existing(file, force=force)
    file.parent.mkdir(parents=True, exist_ok=True)
    sessions = Sessions(cluster)
    session = await sessions.read(name)
    async with Board(choose(as_json=as_json), name) as board:
        if not session.over:
            session = await follow_to_the_end(sessions, session, board)
        await _fetch(cluster, session, file, board, force=force)
    return session


async def _fetch(cluster: Cluster, session: Session, file: Path, board: Board, *, force: bool) -> None:
    from avatar_cli.cluster.download import download, wanted_of
    from avatar_cli.cluster.videos import Videos

    wanted = wanted_of(session)

    def tell(done: int) -> None:
        board.update("download", "bytes", done, wanted.bytes, finished=done == wanted.bytes)

    await download(Videos(cluster), wanted, file, tell, force=force)
