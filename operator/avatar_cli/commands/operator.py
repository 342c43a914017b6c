"""`avatar operator run`: one replica of the operator, as its Deployment starts it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from avatar_core.errors import AvatarError, Reason
from avatar_core.logs import configure_logs


@click.group()
def command() -> None:
    """The controller of AvatarSessions in a cluster.

    \b
    Examples:
      avatar operator run --config operator.yaml
    """


@command.command()
@click.option(
    "--config",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The configuration, a YAML file; the chart writes it.",
)
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="How much is told.",
)
@click.option("--plain", is_flag=True, help="Log plain lines instead of JSON.")
def run(config: Path, log_level: str, plain: bool) -> int:
    """Run one replica until SIGTERM; several of them elect a leader.

    It asks the cluster that $KUBECONFIG or ~/.kube/config names; in a pod, its own.

    \b
    Examples:
      avatar operator run --config operator.yaml
    """
    try:
        from avatar_operator.configuration import read_configuration
        from avatar_operator.main import operate
    except ModuleNotFoundError as error:
        message = f"{error.name} is missing; install avatar-operator[operator]"
        raise AvatarError(Reason.MISSING_DEPENDENCY, message) from None
    configure_logs(log_level, json_lines=not plain)
    return asyncio.run(operate(read_configuration(config)))
