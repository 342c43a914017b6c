"""`avatar logs`: the log of a session's pod."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from avatar_cli.cluster.flags import cluster_flags, on_cluster, session_name
from avatar_cli.cluster.target import Target

if TYPE_CHECKING:
    from avatar_cli.cluster.connection import Cluster


@click.command()
@session_name
@cluster_flags
@click.option("-f", "--follow", is_flag=True, help="Go on until the session has ended, from pod to pod.")
@click.option("--raw", is_flag=True, help="Lines as the pod wrote them, one JSON object each.")
def command(target: Target, name: str, follow: bool, raw: bool) -> None:
    """Print the log of the newest pod of the session NAME.

    A pod goes five minutes after its session has succeeded, and at once when the session is cancelled,
    suspended or deleted; its log goes with it.

    \b
    Examples:
      kubectl avatar logs hello
      kubectl avatar logs hello -f
      kubectl avatar logs hello --raw | jq .message
    """
    on_cluster(target, lambda cluster: _print(cluster, name, follow, raw), "stopped; the session goes on")


async def _print(cluster: Cluster, name: str, follow: bool, raw: bool) -> None:
    from avatar_cli.cluster.log_lines import readable
    from avatar_cli.cluster.pod_logs import follow_logs, print_log
    from avatar_cli.cluster.sessions import Sessions

    session = await Sessions(cluster).read(name)
    show: Callable[[str], str] = str if raw else readable

    def tell(line: str) -> None:
        click.echo(show(line), color=raw or None)  # as it was written, escapes included

    if follow:
        await follow_logs(cluster, session, tell, lambda note: click.echo(note, err=True))
    else:
        await print_log(cluster, session, tell)
