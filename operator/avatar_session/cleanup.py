"""Deletes videos past their expiry, one log line each; touches nothing younger and nothing else."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from avatar_core.folders import RESULT
from avatar_core.store import Entry, Store
from avatar_core.store_errors import typed_store_error
from avatar_session.receipt import Receipt

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deleted:
    """A video that was deleted, or would be.

    Attributes:
        key: of the video in the store, or its path.
        bytes: that were freed.
        expired: since when it might be deleted.
    """

    key: str
    bytes: int
    expired: datetime


async def clean_sessions(store: Store, now: datetime, *, dry_run: bool = False) -> list[Deleted]:
    """Deletes everything of each session whose receipt says that its video has expired.

    Args:
        store: as the pipeline fills it.
        now: with a time zone.
        dry_run: only tell.

    Raises:
        StoreError: the store does not answer; what was deleted by then is logged.
    """
    sessions: dict[str, list[Entry]] = {}
    async for entry in store.list():
        sessions.setdefault(entry.key.rpartition("/")[0], []).append(entry)
    deleted = []
    for folder, entries in sorted(sessions.items()):
        receipt = await _receipt(store, folder, entries)
        if receipt is None or receipt.video.expires_at > now:
            continue
        # The receipt goes last: it is what tells an interrupted clean-up to go on.
        for entry in sorted(entries, key=lambda entry: entry.key.endswith(RESULT)):
            if not dry_run:
                await store.delete(entry.key)
        freed = sum(entry.size for entry in entries)
        deleted.append(_logged(Deleted(receipt.video.key, freed, receipt.video.expires_at), dry_run=dry_run))
    return deleted


def clean_folder(folder: Path, ttl: timedelta, now: datetime, *, dry_run: bool = False) -> list[Deleted]:
    """Deletes the *.mp4 files of a folder that were last changed `ttl` ago or earlier.

    Only regular files directly within: no other folder is entered, no link is followed or removed.

    Raises:
        StoreError: a file can't be removed.
    """
    deleted = []
    for path in sorted(folder.glob("*.mp4")):
        if path.is_symlink() or not path.is_file():
            continue
        facts = path.stat()
        expired = datetime.fromtimestamp(facts.st_mtime, UTC) + ttl
        if expired > now:
            continue
        try:
            if not dry_run:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise typed_store_error(error, "delete", str(path)) from None
        deleted.append(_logged(Deleted(str(path), facts.st_size, expired), dry_run=dry_run))
    return deleted


async def _receipt(store: Store, folder: str, entries: list[Entry]) -> Receipt | None:
    """The receipt in a session's folder; None where there is none, or none that can be read."""
    key = f"{folder}/{RESULT}"
    if folder.count("/") != 1 or not any(entry.key == key for entry in entries):
        return None
    data = await store.get(key)
    try:
        receipt = Receipt.from_json(data or b"")
    except ValueError:
        log.warning("%s can't be read; it is left alone", key)
        return None
    return receipt if receipt.video.key.startswith(f"{folder}/") else None


def _logged(deleted: Deleted, *, dry_run: bool) -> Deleted:
    verb = "would delete" if dry_run else "deleted"
    log.info("%s %s (%d bytes, expired %s)", verb, deleted.key, deleted.bytes, deleted.expired.isoformat())
    return deleted
