"""`avatar retry`: another attempt for a session that failed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from avatar_cli.cluster.flags import cluster_flags, on_cluster, session_name
from avatar_cli.cluster.target import Target
from avatar_core.errors import REASONS, Actor, AvatarError, Reason
from avatar_core.limits import RETRY_MAX

if TYPE_CHECKING:
    from avatar_cli.cluster.connection import Cluster
    from avatar_cli.cluster.session import Session


@click.command()
@session_name
@cluster_flags
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(target: Target, name: str, as_json: bool) -> None:
    """Give the session NAME another attempt: adds 1 to spec.retry.

    It goes on after the last finished stage: a reply that was written is not asked for again. Where the same
    again would fail the same way, it says what to mend first.

    \b
    Examples:
      kubectl avatar retry hello
      kubectl avatar retry hello && kubectl avatar watch hello
    """
    before, retry = on_cluster(target, lambda cluster: _retry(cluster, name), "stopped; nothing was changed")
    warning = caution(before)
    if as_json:
        click.echo(json.dumps({"event": "retried", "name": name, "retry": retry, "warning": warning}))
        return
    if warning:
        click.echo(warning, err=True)
    from avatar_cli.receipts import program

    click.echo(f"{name} gets attempt {(before.status.attempt or 0) + 1}.")
    click.echo(f"Next: {program()} watch {name}{target.flags()}")


async def _retry(cluster: Cluster, name: str) -> tuple[Session, int]:
    from avatar_cli.cluster.sessions import Sessions

    sessions = Sessions(cluster)
    session = await sessions.read(name)
    if why := refusal(session):
        raise AvatarError(Reason.NOT_POSSIBLE, why)
    return session, (await sessions.change(session, retry=session.retry + 1)).retry


def refusal(session: Session) -> str:
    """Why another attempt would do nothing; empty when it does."""
    from avatar_cli.cluster.session import VIDEO_AVAILABLE

    if session.deleting:
        return "the session is being deleted; apply a new one"
    if session.outcome is True:
        video = session.condition(VIDEO_AVAILABLE)
        gone = video is not None and video.status == "False"
        has = "its video has expired; apply a new session" if gone else "it has its video; download it"
        return f"the session has succeeded: {has}"
    if session.cancel:
        return "the session was cancelled, which is for good; apply a new one"
    if not session.over:
        return _goes_on(session)
    if session.retry >= RETRY_MAX:
        return f"spec.retry is {session.retry}, the highest there is; apply a new session"
    return ""


def _goes_on(session: Session) -> str:
    if session.spec.get("suspend"):
        return "the session is suspended, not failed; set spec.suspend to false and it goes on"
    attempt = session.status.attempt
    which = f"attempt {attempt} is under way" if attempt else "its first attempt has not begun"
    return f"the session has not failed: {which}; watch it, or cancel it and apply a new one"


def caution(session: Session) -> str:
    """What must be mended first, where the same again fails the same way; else empty."""
    from avatar_cli.cluster.session import SUCCEEDED, reason_of, who

    condition = session.condition(SUCCEEDED)
    reason = reason_of(condition) if condition else None
    if reason is None or REASONS[reason].retry:
        return ""
    info = REASONS[reason]
    told = f"It failed with {reason}, and the same again will. First, for {who(reason)}: {info.advice}"
    # Its spec can't change, so what wants another one wants another session.
    return f"{told} If that means another spec, apply a new session." if info.actor is Actor.USER else told
