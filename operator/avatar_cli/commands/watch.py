"""`avatar watch`: a session's progress to its end, and its picture while it is drawn."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from avatar_cli.cluster.flags import cluster_flags, on_cluster, session_name
from avatar_cli.cluster.target import Target
from avatar_cli.display import choose

if TYPE_CHECKING:
    from avatar_cli.cluster.connection import Cluster
    from avatar_cli.cluster.session import Session

_STOPPED = "stopped watching; the session goes on"


@click.command()
@session_name
@cluster_flags
@click.option("--play", is_flag=True, help="Open the video in a browser, also while it is drawn.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(target: Target, name: str, play: bool, as_json: bool) -> None:
    """Follow the session NAME until it has ended, with the same bars as `avatar run`.

    --play serves the page of status.video.url on an address of this machine that only you know, by way of the
    cluster where the gateway has no address outside, until Ctrl-C. Exit code: 0 for a video, else that of
    the session's reason.

    \b
    Examples:
      kubectl avatar watch hello
      kubectl avatar watch hello -n team --play
      kubectl apply -f examples/hello.yaml && kubectl avatar watch hello
    """
    session = on_cluster(target, lambda cluster: _watch(cluster, name, play, as_json), _STOPPED)
    click.echo(_as_json(session) if as_json else _as_text(session, target))


async def _watch(cluster: Cluster, name: str, play: bool, as_json: bool) -> Session:
    from avatar_cli.board import Board
    from avatar_cli.cluster.following import follow_to_the_end
    from avatar_cli.cluster.player import Player
    from avatar_cli.cluster.session import failure
    from avatar_cli.cluster.sessions import Sessions
    from avatar_cli.cluster.videos import Videos

    sessions = Sessions(cluster)
    session = await sessions.read(name)
    async with AsyncExitStack() as stack:
        player = await stack.enter_async_context(Player(Videos(cluster))) if play else None

        def see(state: Session) -> None:
            if player is not None and _can_be_seen(state):
                player.show(str(state.status.video and state.status.video.url))

        see(session)
        if not session.over:
            async with Board(choose(as_json=as_json), name) as board:
                session = await follow_to_the_end(sessions, session, board, see)
        if not session.outcome:
            raise failure(session)
        if player is not None and player.address:
            await _until_stopped(player.address)
    return session


def _can_be_seen(session: Session) -> bool:
    """Whether the link leads to pictures, or soon will."""
    video, stage = session.status.video, session.status.stage
    return bool(video and video.url) and (session.outcome is True or stage in ("render", "publish"))


async def _until_stopped(address: str) -> None:
    """Ctrl-C after the video is made is the way to end, not a failure."""
    click.echo(f"playing at {address} until Ctrl-C", err=True)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task
        task.uncancel()


def _as_json(session: Session) -> str:
    video = session.status.video
    facts = video.model_dump(mode="json", by_alias=True, exclude_none=True) if video else {}
    phase = session.status.phase
    return json.dumps({"event": "ended", "name": session.name, "phase": phase, "video": facts})


def _as_text(session: Session, target: Target) -> str:
    from avatar_cli.cluster.describing import expiry, timing_lines, video_line
    from avatar_cli.receipts import program

    rows = [f"  video    {video_line(session)}", f"  expires  {expiry(session, datetime.now(UTC))}"]
    step = f"{program()} download {session.name}{target.flags()}"
    return "\n".join([f"{session.name} has its video", *rows, *timing_lines(session), f"Next: {step}"])
