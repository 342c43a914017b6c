"""`python -m avatar_session.sweep`: deletes folders of the store whose sessions exist no more; for a CronJob.

The operator empties a folder before it lets its session go. This finds what was left all the same: by a
finalizer removed by hand, or a namespace that was deleted. One store belongs to one cluster: folders of
another cluster's sessions would be taken for orphans. AVATAR_STORE names the store.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from avatar_core.errors import AvatarError
from avatar_core.folders import session_uid
from avatar_core.logs import configure_logs
from avatar_core.resources import API_VERSION
from avatar_core.signals import end_when_told
from avatar_session.empty_folders import delete_objects, store_of
from avatar_session.pod import failure, leave

if TYPE_CHECKING:
    from avatar_core.cluster.kube import Kube
    from avatar_core.store import Entry, Store

log = logging.getLogger(__name__)

OLDER_THAN = timedelta(hours=1)
SESSIONS = f"/apis/{API_VERSION}/avatarsessions"
Folders = Mapping[str, Sequence["Entry"]]


async def sweep(store: Store, kube: Kube, older_than: timedelta, *, dry_run: bool = False) -> list[str]:
    """Deletes orphaned folders and returns them.

    Args:
        store: is listed first: a session that begins in the meantime has nothing in that list.
        kube: is asked for all sessions.
        older_than: nothing in a folder may be younger.
        dry_run: only tell.

    Raises:
        KubeError: the list of sessions did not come whole; nothing was deleted.
        StoreError: the store does not answer; or the first failure, after all other folders were deleted.
    """
    folders = await _folders(store)
    living = {item["metadata"]["uid"] async for item in kube.list(SESSIONS, {}, only_metadata=True)}
    found = orphans(folders, living, datetime.now(UTC) - older_than)
    failures: list[AvatarError] = []
    for folder in found:
        try:
            await delete_objects(store, folders[folder], dry_run=dry_run)
        except AvatarError as error:
            log.error("%s stays: %s", folder, error, extra={"folder": folder})
            failures.append(error)
    log.info("%d of %d folders are orphaned; %d sessions live", len(found), len(folders), len(living))
    if failures:
        raise failures[0]
    return found


def orphans(folders: Folders, living: Collection[str], before: datetime) -> list[str]:
    """Folders of no living session in which everything was put `before`. Pure."""
    return sorted(
        folder
        for folder, entries in folders.items()
        if session_uid(folder) not in living and all(entry.modified < before for entry in entries)
    )


async def _folders(store: Store) -> dict[str, list[Entry]]:
    """Objects of sessions by folder; whatever else is there is left out."""
    found: dict[str, list[Entry]] = {}
    async for entry in store.list():
        folder = "/".join(entry.key.split("/")[:2])
        if session_uid(folder) is not None and entry.key != folder:
            found.setdefault(folder, []).append(entry)
    return found


async def _run(older_than: timedelta, *, dry_run: bool) -> None:
    from avatar_core.cluster.kube import Kube

    store, kube = store_of(os.environ), await Kube.connect(10, 20)
    try:
        await sweep(store, kube, older_than, dry_run=dry_run)
    finally:
        await kube.close()


def main() -> None:
    """Reads the command line and works; ends the process."""
    parser = argparse.ArgumentParser(prog="avatar_session.sweep", description=__doc__)
    parser.add_argument("--older-than", type=float, default=OLDER_THAN.total_seconds(), metavar="SECONDS")
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be deleted")
    arguments = parser.parse_args()
    end_when_told()
    configure_logs()
    code = 0
    try:
        asyncio.run(_run(timedelta(seconds=arguments.older_than), dry_run=arguments.dry_run))
    except Exception as error:
        words, code = failure(error)
        log.error("not all is deleted: %s: %s", words["reason"], words["message"])
    leave(code)


if __name__ == "__main__":
    main()
