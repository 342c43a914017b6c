"""`avatar doctor`: what works here, what is missing, and the command that mends it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from avatar_cli.checks import Check, State, all_checks
from avatar_core.errors import REASONS, Reason

_MARKS = {State.OK: ("✓", "green"), State.OPTIONAL: ("-", "yellow"), State.MISSING: ("✗", "red")}


@click.command()
@click.option(
    "--folder", default="out", show_default=True, type=click.Path(path_type=Path), help="For videos."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def command(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Tell what works here, what is missing, and the command that mends it.

    Exit code 0 when a video can be made, else 22. What is marked - is needed for some things only.

    \b
    Examples:
      avatar doctor
      avatar doctor --json | jq 'select(.state != "ok") | .mend'
    """
    found = []
    for check in all_checks(folder):
        found.append(check())
        click.echo(json.dumps(asdict(found[-1]), ensure_ascii=False) if as_json else _row(found[-1]))
    broken = [check for check in found if check.state is State.MISSING]
    if not as_json:
        click.echo(
            "Everything needed is here. Next: avatar demo" if not broken else "A video can't be made yet."
        )
    ctx.exit(REASONS[Reason.MISSING_DEPENDENCY].exit_code if broken else 0)


def _row(check: Check) -> str:
    mark, color = _MARKS[check.state]
    row = f"{click.style(mark, fg=color)} {check.name:<17} {check.detail}"
    return f"{row}\n  {'':<17} mend: {check.mend}" if check.mend else row
