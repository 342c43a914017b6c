"""`avatar run`: the videos a manifest, a text, a prompt or a sound asks for."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avatar_cli.display import choose
from avatar_cli.engine_flags import engine_flags, taken
from avatar_cli.flags import FIELDS
from avatar_cli.lazy import NearChoice
from avatar_cli.stopping import cancel_on_signals
from avatar_core.limits import PROFILES

if TYPE_CHECKING:
    from avatar_cli.making import Delivery
    from avatar_cli.request import Request


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--text", help="Say this.")
@click.option("--prompt", help="Let an LLM answer this, and say the answer.")
@click.option("--audio", type=click.Path(), help="Move the lips to this sound.")
@click.option("--voice", help="A language tag such as fr-FR, or a voice of the provider.")
@click.option("--avatar", help="An id from `avatar prepare`, or a built-in name.  [default: ava]")
@click.option("--profile", type=NearChoice(list(PROFILES)), help="A pair of frame rate and batch size.")
@click.option("--fps", help="Frames per second, 12 to 30; fractions such as 30000/1001 too.  [default: 15]")
@click.option("--batch-size", type=int, help="Frames a step while others wait, 1 to 4.  [default: 2]")
@click.option("--height", type=int, help="Pixels, even, 128 to 2160.  [default: the avatar's own]")
@click.option("--timeout", type=int, help="Seconds for everything.  [default: 120]")
@click.option("--llm-url", help="Base URL of a server with the OpenAI API.")
@click.option("--model", help="The model's name on that server.")
@click.option(
    "--server",
    metavar="HOST:PORT",
    help="Draw there, or on the least busy of several parted by commas.  [default: a server of its own]",
)
@click.option(
    "--server-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust certificates of this authority (PEM) and use TLS.",
)
@engine_flags
@click.option("--store", help="Keep video and receipt in a folder, s3://, gs:// or az://.")
@click.option("-o", "--output", metavar="FILE.mp4", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(file: str | None, as_json: bool, **flags: Any) -> None:
    """Make the videos that FILE asks for ("-": standard input), or that --text, --prompt or --audio does.

    FILE holds AvatarSessions, and the AvatarProviders they name, as YAML. Flags win over it. Without -o a
    video goes to out/NAME.mp4.

    \b
    Examples:
      avatar run examples/hello.yaml
      avatar run --text "Hello!" -o out/hello.mp4
      avatar run --audio speech.mp3 --avatar sha256:… --profile quality
      avatar run --text "Hello!" --avatar sha256:… --engine musetalk
      avatar run --prompt "Why is the sky blue?" --llm-url http://127.0.0.1:11434/v1 --model llama3.2
      cat examples/several.yaml | avatar run - --json
    """
    from avatar_cli.making import Delivery
    from avatar_cli.request import name_after, requests

    wanted = requests(
        _read(file),
        file or "command line",
        {name: flags[name] for name in FIELDS},
        folder=Path(file).parent if file and file != "-" else Path(),
        llm_url=flags["llm_url"],
        name=name_after(flags["output"]),
    )
    if flags["output"] and len(wanted) > 1:
        raise click.UsageError(f"-o names one file, and {file} asks for {len(wanted)} videos; leave it out")
    delivery = Delivery(
        server=flags["server"],
        engine=taken(flags),
        server_ca=flags["server_ca"],
        avatar=flags["avatar"],
        store=flags["store"],
        output=flags["output"],
    )
    make_and_tell(wanted, delivery, as_json=as_json)


def make_and_tell(wanted: list[Request], delivery: Delivery, *, as_json: bool) -> None:
    """Makes the videos and prints each one's path and receipt, and at the end what to try next.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM or a closed terminal ended it; nothing half-made is left.
    """
    try:
        asyncio.run(_make_and_tell(wanted, delivery, as_json=as_json))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _make_and_tell(wanted: list[Request], delivery: Delivery, *, as_json: bool) -> None:
    from avatar_cli import receipts
    from avatar_cli.making import make_all

    cancel_on_signals()
    made = None
    async for made in make_all(wanted, delivery, choose(as_json=as_json)):
        click.echo(receipts.as_json(made) if as_json else receipts.as_text(made))
    if made is not None and not as_json:
        click.echo(f"Next: {receipts.next_step(made)}")


def _read(file: str | None) -> str | None:
    if file is None:
        return None
    return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
