"""What all commands about a session share: NAME, kubectl's flags, and the way to the cluster."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from avatar_cli.cluster.target import Target
from avatar_cli.stopping import run_until_stopped
from avatar_core.errors import AvatarError, Reason
from avatar_core.resources.base import NAME_PATTERN

if TYPE_CHECKING:
    from avatar_cli.cluster.connection import Cluster

T = TypeVar("T")
_COMPLETION_SECONDS = 3.0
_KINDS = ("avs", "avatarsession", "avatarsessions", "avatarsession.avatars.dev", "avatarsessions.avatars.dev")


def cluster_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds kubectl's flags; the command gets them as `target`, a Target."""

    def with_target(
        kubeconfig: Path | None, context: str | None, namespace: str | None, **others: Any
    ) -> Any:
        return function(target=Target(kubeconfig, context, namespace), **others)

    update_wrapper(with_target, function)
    for option in (
        click.option("-n", "--namespace", help="Of the session.  [default: the context's]"),
        click.option("--context", help="As kubectl's."),
        click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="As kubectl's."),
    ):
        option(with_target)
    return with_target


class SessionName(click.ParamType[str]):
    """The name of a session, also as kubectl writes it: avs/NAME."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The bare name."""
        kind, slash, rest = value.rpartition("/")
        if slash and kind.lower() not in _KINDS:
            self.fail(f"{value!r} is no AvatarSession; give its name, or avs/NAME", param, ctx)
        if len(rest) > 253 or not re.fullmatch(NAME_PATTERN.strip("^$"), rest):
            self.fail(f"{rest!r} can't be the name of a session", param, ctx)
        return rest

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of the namespace; none when the cluster does not answer soon."""
        given = ctx.params
        target = Target(given.get("kubeconfig"), given.get("context"), given.get("namespace"))
        try:
            names = on_cluster(target, _names, "")
        except Exception:  # a shell has no place for what went wrong
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


session_name = click.argument("name", type=SessionName(), metavar="NAME")


def on_cluster(target: Target, work: Callable[[Cluster], Awaitable[T]], stopped: str) -> T:
    """Does `work` with a connection to the cluster.

    Raises:
        AvatarError: MISSING_DEPENDENCY, no client of Kubernetes is installed; CANCELLED with the message
            `stopped`; or what `work` raises.
    """
    try:
        from avatar_cli.cluster.connection import connected
    except ModuleNotFoundError as error:
        from avatar_cli.checks import install

        message = f"{error.name} is missing; install it with: {install('operator')}"
        raise AvatarError(Reason.MISSING_DEPENDENCY, message) from None

    async def run() -> T:
        async with connected(target) as cluster:
            return await work(cluster)

    return run_until_stopped(run(), stopped)


async def _names(cluster: Cluster) -> list[str]:
    from avatar_cli.cluster.sessions import Sessions

    async with asyncio.timeout(_COMPLETION_SECONDS):
        return await Sessions(cluster).names()
