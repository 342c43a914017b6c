"""`avatar serve`: the inference server as a process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avatar_cli.engine_flags import engine_flags, taken
from avatar_cli.lazy import NearChoice

if TYPE_CHECKING:
    from avatar_inference.server import Running, ServerSettings

METRICS_PORT = 9464


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=50051, show_default=True, type=click.IntRange(0, 65535), help="0: a free one."
)
@click.option("--metrics-port", default=METRICS_PORT, show_default=True, type=click.IntRange(0, 65535))
@click.option("--no-metrics", is_flag=True, help="Serve no Prometheus metrics.")
@engine_flags
@click.option("--max-batch", default=8, show_default=True, type=click.IntRange(1, 64), help="Frames a step.")
@click.option("--max-renders", default=64, show_default=True, type=click.IntRange(1), help="Carried at once.")
@click.option(
    "--max-waiting", default=256, show_default=True, type=click.IntRange(0), help="Renders in line."
)
@click.option(
    "--held-mib", default=2048, show_default=True, type=click.IntRange(64), help="Memory for renders."
)
@click.option("--bundle-store", type=click.Path(file_okay=False, path_type=Path), help="Prepared avatars.")
@click.option(
    "--bundle-gateway", metavar="URL", help="Where all servers keep them; the folder is a cache then."
)
@click.option(
    "--bundle-token",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of the token for that gateway.",
)
@click.option(
    "--bundle-cache-mib", default=4096, show_default=True, type=click.IntRange(1), help="Disk for that cache."
)
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM file.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM file.")
@click.option(
    "--tls-client-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Clients must show a certificate of this authority.",
)
@click.option("--insecure", is_flag=True, help="Allow plain text on an address others can reach.")
@click.option(
    "--token-audience", default="", help="Callers must be pods with a token for this; none: anybody may call."
)
@click.option("--drain-seconds", default=120.0, show_default=True, help="For accepted renders on shutdown.")
@click.option("--log-level", default="info", show_default=True, type=NearChoice(["debug", "info", "warning"]))
@click.option("--log-format", default="json", show_default=True, type=NearChoice(["json", "plain"]))
def command(**flags: Any) -> None:
    """Start the inference server; Ctrl-C or SIGTERM lets accepted renders finish, a second one does not.

    \b
    Examples:
      avatar serve --port 50051
      avatar run hello.yaml --server 127.0.0.1:50051
      avatar serve --engine musetalk --max-batch 16
      avatar serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
    """
    from avatar_core.logs import configure_logs

    settings = settings_from(flags)
    configure_logs(flags["log_level"], json_lines=flags["log_format"] == "json")
    asyncio.run(_serve_until_told(settings, _announce))


def settings_from(flags: dict[str, Any]) -> ServerSettings:
    """The settings these flags mean. Raises click.UsageError when one flag lacks the other it needs."""
    from avatar_inference.admission import Limits
    from avatar_inference.bundle_gateway import SharedBundles
    from avatar_inference.bundle_store import default_bundle_store
    from avatar_inference.listening import Tls

    certificate, key, client_ca = (flags[name] for name in ("tls_cert", "tls_key", "tls_client_ca"))
    if (certificate is None) is not (key is None) or (client_ca and not certificate):
        raise click.UsageError("--tls-cert and --tls-key belong together; --tls-client-ca needs both")
    gateway, token = flags["bundle_gateway"], flags["bundle_token"]
    if (gateway is None) is not (token is None):
        raise click.UsageError("--bundle-gateway and --bundle-token belong together")
    return taken(flags).settings(
        host=flags["host"],
        port=flags["port"],
        metrics_port=None if flags["no_metrics"] else flags["metrics_port"],
        max_batch=flags["max_batch"],
        limits=Limits(flags["max_renders"], flags["max_waiting"], flags["held_mib"] * 1024**2),
        bundle_store=flags["bundle_store"] or default_bundle_store(),
        shared_bundles=SharedBundles(gateway, token) if gateway else None,
        bundle_cache_bytes=flags["bundle_cache_mib"] * 1024**2,
        tls=Tls(certificate, key, client_ca) if certificate else None,
        insecure=flags["insecure"],
        token_audience=flags["token_audience"],
        drain_seconds=flags["drain_seconds"],
    )


async def _serve_until_told(settings: ServerSettings, announce: Callable[[Running], None]) -> None:
    from avatar_inference.server import serve

    told, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, told.set)
    async with serve(settings) as running:
        announce(running)
        await told.wait()
        for number in signals:
            # Whoever asks twice does not want to wait for the drain.
            loop.remove_signal_handler(number)


def _announce(running: Running) -> None:
    # Standard output: a program that asked for port 0 reads the address here; logs go to standard error.
    click.echo(f"serving on {running.target}")
    if running.metrics_target:
        click.echo(f"metrics on http://{running.metrics_target}/metrics")
