"""`avatar describe`: how a session is, and what to do about it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from avatar_cli.cluster.flags import cluster_flags, on_cluster, session_name
from avatar_cli.cluster.target import Target

if TYPE_CHECKING:
    from avatar_cli.cluster.connection import Cluster
    from avatar_cli.cluster.picture import Picture
    from avatar_cli.cluster.session import Session


@click.command()
@session_name
@cluster_flags
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(target: Target, name: str, as_json: bool) -> None:
    """Tell how the session NAME is: conditions with what to do, stage, timings, pod, Events and video.

    \b
    Examples:
      kubectl avatar describe hello
      kubectl avatar describe hello -n team --json
    """
    from avatar_cli.receipts import program

    picture = on_cluster(target, lambda cluster: _look(cluster, name), "stopped")
    if as_json:
        click.echo(json.dumps(_as_json(picture), ensure_ascii=False))
        return
    from avatar_cli.cluster.describing import page

    click.echo(page(picture, datetime.now(UTC)))
    step = next_step(picture.session)
    click.echo(f"\nNext: {program()} {step} {name}{target.flags()}" if step else "")


async def _look(cluster: Cluster, name: str) -> Picture:
    from avatar_cli.cluster.picture import look
    from avatar_cli.cluster.sessions import Sessions

    return await look(cluster, await Sessions(cluster).read(name))


def next_step(session: Session) -> str:
    """The command that makes sense now; empty when none does."""
    from avatar_cli.cluster.session import VIDEO_AVAILABLE
    from avatar_cli.commands.retry import refusal

    if not session.over:
        return "watch"
    video = session.condition(VIDEO_AVAILABLE)
    if session.outcome:
        return "download" if video is not None and video.status == "True" else ""
    return "" if refusal(session) else "retry"


def _as_json(picture: Picture) -> dict[str, Any]:
    from avatar_cli.cluster.session import reason_of, who
    from avatar_core.errors import REASONS

    session = picture.session
    status = session.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    for condition, entry in zip(session.status.conditions, status.get("conditions", ()), strict=False):
        if (reason := reason_of(condition)) is not None:
            info = REASONS[reason]
            entry |= {"advice": info.advice, "who": who(reason), "retry": info.retry}
    return {
        "name": session.name,
        "namespace": session.namespace,
        "uid": session.uid,
        "over": session.over,
        "status": status,
        "job": picture.job or None,
        "pod": picture.pod or None,
        "events": [
            {"at": one.at.isoformat(), "type": one.kind, "reason": one.reason, "message": one.message}
            | {"about": one.about}
            for one in picture.events
        ],
        "next": next_step(session) or None,
    }
