"""Where `avatar` begins. Only what every call needs is imported here."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from avatar_cli.failure import tell
from avatar_cli.lazy import LazyGroup
from avatar_core.errors import AvatarError, Reason
from avatar_core.signals import end_when_told

COMMANDS = {
    "demo": ("avatar_cli.commands.demo", "Make a first talking video, out/hello.mp4."),
    "run": ("avatar_cli.commands.run", "Make the videos a manifest, a text, a prompt or a sound asks for."),
    "serve": ("avatar_cli.commands.serve", "Start the inference server."),
    "prepare": ("avatar_cli.commands.prepare", "Make an avatar from a photograph or a video."),
    "weights": ("avatar_cli.commands.weights", "Fetch, check and list the weights of the musetalk engine."),
    "lint": ("avatar_cli.commands.lint", "Check manifests as a cluster will."),
    "watch": ("avatar_cli.commands.watch", "Follow a session of a cluster until its end."),
    "download": ("avatar_cli.commands.download", "Fetch a session's video from a cluster."),
    "describe": ("avatar_cli.commands.describe", "Tell how a session is, and what to do about it."),
    "logs": ("avatar_cli.commands.logs", "Print the log of a session's pod."),
    "cancel": ("avatar_cli.commands.cancel", "End a session for good."),
    "retry": ("avatar_cli.commands.retry", "Give a session that failed another attempt."),
    "bench": ("avatar_cli.commands.bench", "Measure how fast an engine is on this machine."),
    "cleanup": ("avatar_cli.commands.cleanup", "Delete videos past their expiry."),
    "operator": ("avatar_cli.commands.operator", "Run the controller of a cluster."),
    "doctor": ("avatar_cli.commands.doctor", "Tell what works here and how to mend what does not."),
    "completion": ("avatar_cli.commands.completion", "Print a shell's completion script."),
}


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"avatar {version('avatar-operator')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with `avatar demo`. If something does not work, ask `avatar doctor`.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version.",
)
def cli() -> None:
    """Talking faces: a prompt becomes a reply, a voice and a video of a face saying it."""


def main() -> NoReturn:
    """The console script: the exit code follows the reason of a failure."""
    if os.getpid() == 1:  # of a container; elsewhere SIGTERM does what it always does
        end_when_told()
    code = run()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    # Not sys.exit: threads of the store's library that are still letting go of their last result abort the
    # process when they meet an interpreter that is being taken down. Everything of ours is closed by now.
    os._exit(code)


def run() -> int:
    """Runs the command line in sys.argv; returns the exit code."""
    name = "kubectl avatar" if Path(sys.argv[0]).name == "kubectl-avatar" else "avatar"
    as_json = "--json" in sys.argv
    try:
        # Not standalone: click would print its own errors, and give every failure of ours a traceback.
        return cli.main(prog_name=name, complete_var="_AVATAR_COMPLETE", standalone_mode=False) or 0
    except NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except (AvatarError, click.ClickException) as error:
        return tell(error, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        cancelled = AvatarError(Reason.CANCELLED, "stopped; nothing half-made was left behind")
        return tell(cancelled, as_json=as_json)
    except BrokenPipeError:
        # The reader of a pipe has seen enough.
        return 0
    except Exception as bug:
        traceback.print_exc()
        return tell(AvatarError(Reason.INTERNAL, f"{type(bug).__name__}: {bug}"), as_json=as_json)
