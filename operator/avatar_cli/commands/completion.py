"""`avatar completion`: what a shell needs to complete commands, flags and values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from avatar_cli.lazy import NearChoice


@click.command()
@click.argument("shell", type=NearChoice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    Examples:
      source <(avatar completion bash)
      avatar completion zsh > ~/.zfunc/_avatar
      avatar completion fish > ~/.config/fish/completions/avatar.fish
    """
    from avatar_cli.main import cli

    make = get_completion_class(shell)
    assert make is not None, shell
    click.echo(make(cli, {}, "avatar", "_AVATAR_COMPLETE").source())
