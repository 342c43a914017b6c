"""How a failure is told: one block for a person, one line for a program, and the exit code."""

from __future__ import annotations

import json
import sys

import click

from avatar_cli.flags import flag_of
from avatar_core.errors import AvatarError


def describe(error: AvatarError) -> dict[str, object]:
    """A failure as a JSON object."""
    return {
        "event": "error",
        "reason": str(error.reason),
        "field": error.field,
        "message": error.message,
        "advice": error.info.advice,
        "retryAfterSeconds": error.retry_after,
        "exitCode": error.info.exit_code,
    }


def block(error: AvatarError) -> str:
    """A failure as a block of lines: reason, field, message, advice."""
    flag = flag_of(error.field)
    field = f"{error.field} (flag {flag})" if flag else error.field
    again = f"{error.retry_after:g} s" if error.retry_after else None
    rows = {"field": field, "message": error.message, "advice": error.info.advice, "try again in": again}
    lines = [click.style(f"Error: {error.reason}", fg="red", bold=True)]
    return "\n".join(lines + [f"  {name:<8} {text}" for name, text in rows.items() if text])


def usage_block(error: click.ClickException) -> str:
    """A wrong command line as a block, with the command that shows the right ones."""
    lines = [click.style("Error: wrong command line", fg="red", bold=True)]
    lines.append(f"  message  {error.format_message()}")
    context = getattr(error, "ctx", None)
    if context is not None:
        lines.append(f"  advice   See `{context.command_path} --help`.")
    return "\n".join(lines)


def tell(error: AvatarError | click.ClickException, *, as_json: bool) -> int:
    """Prints a failure where it belongs; returns the exit code."""
    if isinstance(error, AvatarError):
        text, code = block(error), error.info.exit_code
        entry = describe(error)
    else:
        text, code = usage_block(error), error.exit_code
        entry = {"event": "error", "reason": "Usage", "message": error.format_message(), "exitCode": code}
    if as_json:
        click.echo(json.dumps(entry, ensure_ascii=False))
    else:
        click.echo(text, file=sys.stderr)
    return code
