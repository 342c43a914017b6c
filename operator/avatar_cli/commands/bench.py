"""`avatar bench`: how fast an engine is on this machine."""

from __future__ import annotations

import asyncio
import json
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avatar_cli.engine_flags import engine_flags, taken

if TYPE_CHECKING:
    from avatar_inference.bench import Row
    from avatar_inference.server import ServerSettings


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas, such as 1,2,4."""

    name = "numbers"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Each 1 to 64."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} must be whole numbers such as 1,2,4", param, ctx)
        if not all(1 <= number <= 64 for number in numbers):
            self.fail(f"{value!r}: each must be 1 to 64", param, ctx)
        return numbers


@click.command()
@engine_flags
@click.option(
    "--random-weights",
    type=click.Choice(["full", "tiny"]),
    help="musetalk: draw noise with random weights of the full or a tiny size; they need none fetched.",
)
@click.option("--batches", default="1,2,4,8", show_default=True, type=Numbers(), help="Frames drawn at once.")
@click.option("--streams", default="1,4", show_default=True, type=Numbers(), help="Renders at once.")
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.1, 60), help="A row.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end.")
def command(
    random_weights: str | None,
    batches: tuple[int, ...],
    streams: tuple[int, ...],
    seconds: float,
    as_json: bool,
    **flags: Any,
) -> None:
    """Measure each stage of an engine on this machine, then whole renders over a socket.

    p50 and p99 are of one step; of whole renders, until the first picture is handed out.

    \b
    Examples:
      avatar bench
      avatar bench --engine musetalk --batches 1,8,32 --streams 1,16
      avatar bench --engine musetalk --random-weights tiny --device cpu
    """
    with tempfile.TemporaryDirectory(prefix="avatar-bench-") as folder:
        engine = taken(flags)
        if random_weights:
            click.echo(f"making {random_weights} random weights", err=True)
            engine = replace(engine, engine="musetalk", weights=_random(Path(folder), random_weights))
        settings = engine.settings(
            port=0, max_batch=max(batches), bundle_store=Path(folder) / "bundles", drain_seconds=5.0
        )
        found = asyncio.run(_measure(settings, batches, streams, seconds, told=not as_json))
    if as_json:
        found["command"] = " ".join(["avatar", *sys.argv[1:]])
        click.echo(json.dumps(found, indent=1))


def _random(folder: Path, size: str) -> Path:
    from avatar_inference.musetalk.layout import MUSETALK, TINY
    from avatar_inference.musetalk.weights import random_weights

    random_weights(folder / "weights", MUSETALK if size == "full" else TINY, seed=0)
    return folder / "weights"


async def _measure(
    settings: ServerSettings,
    batches: tuple[int, ...],
    streams: tuple[int, ...],
    seconds: float,
    *,
    told: bool,
) -> dict[str, Any]:
    from avatar_inference.bench import memory

    if told:
        click.echo(f"{'stage':<18} {'at once':>7} {'frames/s':>9} {'p50 ms':>9} {'p99 ms':>9}")
    rows = []
    async for row in _rows(settings, batches, streams, seconds):
        rows.append(row)
        if told:
            rate = f"{row.frames_per_second:9.1f} {row.p50_ms:9.2f} {row.p99_ms:9.2f}"
            click.echo(f"{row.stage:<18} {row.at_once:>7} {rate}")
    found = {"engine": settings.engine, **_machine(), **memory(), "rows": [asdict(row) for row in rows]}
    if told:
        click.echo(", ".join(f"{name} {value:.2f}" for name, value in memory().items()))
    return found


async def _rows(
    settings: ServerSettings, batches: tuple[int, ...], streams: tuple[int, ...], seconds: float
) -> AsyncIterator[Row]:
    from avatar_inference.bench import Row, stages, stand_in, whole
    from avatar_inference.bundle_io import read_bundle
    from avatar_inference.bundle_store import BundleStore
    from avatar_inference.server import serve

    started = time.perf_counter()
    async with serve(settings) as running:
        took = 1000 * (time.perf_counter() - started)
        yield Row("start the server", 1, 0.0, took, took)
        engine = running.parts.worker.engine
        if folder := engine.builtin("ava"):
            avatar, bundle = "ava", read_bundle(folder, expect=None)
        else:
            bundle = stand_in()
            avatar = BundleStore(settings.bundle_store).put(bundle)
        steps = stages(engine, bundle, batches, seconds)
        while (row := await asyncio.to_thread(next, steps, None)) is not None:
            yield row
        for count in streams:
            await whole(running.target, avatar, count)  # what is loaded once should not count
            yield await whole(running.target, avatar, count)


def _machine() -> dict[str, str]:
    """Where this is measured."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    if (torch := sys.modules.get("torch")) is not None:
        found["torch"] = torch.__version__
        found["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return found
