"""`avatar cleanup`: deletes videos past their expiry, and nothing else."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avatar_core.limits import VIDEO_TTL_SECONDS_DEFAULT

if TYPE_CHECKING:
    from avatar_session.cleanup import Deleted


@click.command()
@click.argument("folder", default="out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--ttl",
    default=VIDEO_TTL_SECONDS_DEFAULT,
    show_default=True,
    type=click.IntRange(0),
    help="Seconds a video in FOLDER may live after its last change.",
)
@click.option("--store", help="Clean this store instead; the receipts in it say when each video expires.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(folder: Path, ttl: int, store: str | None, dry_run: bool, as_json: bool) -> None:
    """Delete the *.mp4 files directly in FOLDER (default: out) older than --ttl, or what expired in --store.

    \b
    Examples:
      avatar cleanup --dry-run
      avatar cleanup out --ttl 86400
      avatar cleanup --store s3://bucket/videos
    """
    deleted = _clean(folder, timedelta(seconds=ttl), store, dry_run=dry_run)
    for video in deleted:
        click.echo(_as_json(video, dry_run) if as_json else _as_text(video, dry_run))
    if not deleted and not as_json:
        click.echo("Nothing has expired.")


def _clean(folder: Path, ttl: timedelta, store: str | None, *, dry_run: bool) -> list[Deleted]:
    from avatar_core.store import ObjectStore
    from avatar_session.cleanup import clean_folder, clean_sessions

    now = datetime.now(UTC)
    if store is None:
        return clean_folder(folder, ttl, now, dry_run=dry_run)
    return asyncio.run(clean_sessions(ObjectStore(store), now, dry_run=dry_run))


def _as_text(video: Deleted, dry_run: bool) -> str:
    verb = "would delete" if dry_run else "deleted"
    return f"{verb} {video.key} ({video.bytes / 1000:.0f} kB, expired {video.expired:%Y-%m-%d %H:%M:%S} UTC)"


def _as_json(video: Deleted, dry_run: bool) -> str:
    entry = {
        "event": "expired" if dry_run else "deleted",
        "key": video.key,
        "bytes": video.bytes,
        "expired": video.expired.isoformat(),
    }
    return json.dumps(entry, ensure_ascii=False)
