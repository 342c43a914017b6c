"""`avatar cancel`: ends a session for good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from avatar_cli.cluster.flags import cluster_flags, on_cluster, session_name
from avatar_cli.cluster.target import Target

if TYPE_CHECKING:
    from avatar_cli.cluster.connection import Cluster
    from avatar_cli.cluster.session import Session

_STOPPED = "stopped waiting; the session is being cancelled all the same"


@click.command()
@session_name
@cluster_flags
@click.option("--no-wait", is_flag=True, help="Don't wait until it has ended.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(target: Target, name: str, no_wait: bool, as_json: bool) -> None:
    """End the session NAME for good: sets spec.cancel and waits until its pod is told to stop.

    A session that has ended stays as it is, and so does a video that was made before. There is no way back:
    apply a new session to begin again.

    \b
    Examples:
      kubectl avatar cancel hello
      kubectl avatar cancel hello -n team --no-wait
    """
    session, asked = on_cluster(target, lambda cluster: _cancel(cluster, name, no_wait), _STOPPED)
    if as_json:
        phase = session.status.phase
        click.echo(json.dumps({"event": "cancelled", "name": name, "phase": phase, "asked": asked}))
    else:
        click.echo(_told(session, asked))


async def _cancel(cluster: Cluster, name: str, no_wait: bool) -> tuple[Session, bool]:
    """The session at the end, and whether it was asked to end."""
    from contextlib import aclosing

    from avatar_cli.cluster.sessions import Sessions

    sessions = Sessions(cluster)
    session = await sessions.read(name)
    if session.over:
        return session, False
    session = await sessions.change(session, cancel=True)
    if no_wait:
        return session, True
    click.echo("waiting until it has ended", err=True)
    async with aclosing(sessions.follow(session, lambda note: click.echo(note, err=True))) as states:
        async for session in states:
            if session.over:
                break
    return session, True


def _told(session: Session, asked: bool) -> str:
    phase = session.status.phase or "Pending"
    if not asked:
        return f"{session.name} had ended already: {phase}. Nothing was changed."
    if not session.over:
        return f"{session.name} is being cancelled."
    if session.outcome:
        return f"{session.name} was finished before it could be cancelled; its video is there."
    return f"{session.name} has ended: {phase}."
