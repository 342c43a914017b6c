"""`python -m avatar_session.sweep`: deletes what nobody owns of the store any more; for a CronJob.

That is folders of sessions that exist no more, and prepared avatars that neither an Avatar nor a session
under way names. The operator empties a session's folder before it lets the session go; this finds what was
left all the same: by a finalizer removed by hand, or a namespace that was deleted. Prepared avatars nobody
else deletes. One store belongs to one cluster: what another one owns would be taken for orphans.
AVATAR_STORE names the store.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from avatar_core.errors import AvatarError
from avatar_core.folders import bundle_of, session_uid
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
AVATARS, SESSIONS = (f"/apis/{API_VERSION}/{plural}" for plural in ("avatars", "avatarsessions"))
Folders = Mapping[str, Sequence["Entry"]]


async def sweep(store: Store, kube: Kube, older_than: timedelta, *, dry_run: bool = False) -> list[str]:
    """Deletes orphaned folders and returns them.

    Args:
        store: is listed first: what begins in the meantime has nothing in that list. Each orphan is looked at
            again before it goes: an avatar that is prepared anew just now renews what is there of it.
        kube: is asked for all avatars, then for all sessions: one that takes an avatar which is named no
            more, as its spec has changed, says so itself by then.
        older_than: nothing in a folder may be younger.
        dry_run: only tell.

    Raises:
        KubeError: the lists did not come whole; nothing was deleted.
        StoreError: the store does not answer; or the first failure, after all other folders were deleted.
    """
    before = datetime.now(UTC) - older_than
    folders = await _folders(store)
    owners = {
        owner for path in (AVATARS, SESSIONS) async for item in kube.list(path, {}) for owner in named(item)
    }
    found: list[str] = []
    failures: list[AvatarError] = []
    for folder in orphans(folders, owners, before):
        try:
            entries = [entry async for entry in store.list(f"{folder}/")]
            if orphans({folder: entries}, owners, before):
                await delete_objects(store, entries, dry_run=dry_run)
                found.append(folder)
        except AvatarError as error:
            log.error("%s stays: %s", folder, error, extra={"folder": folder})
            failures.append(error)
    log.info("%d of %d folders were orphaned; %d owners live", len(found), len(folders), len(owners))
    if failures:
        raise failures[0]
    return found


def named(item: Mapping[str, Any]) -> set[str]:
    """Owners of folders that an Avatar or a session as the API server has it stands for. Pure.

    Returns:
        The uid; bundles that spec and status of an Avatar name, and the one that the attempt of a session
        draws that is under way: its Avatar may have another by now.
    """
    status: Mapping[str, Any] = item.get("status") or {}
    source: Mapping[str, Any] = (item.get("spec") or {}).get("source") or {}
    drawn = None if status.get("completedAt") else status.get("avatar")
    return {item["metadata"]["uid"], *filter(None, (source.get("bundle"), status.get("bundle"), drawn))}


def orphans(folders: Folders, owners: Collection[str], before: datetime) -> list[str]:
    """Folders of no owner in which everything was put `before`. Pure.

    Args:
        folders: of sessions and bundles.
        owners: uids of sessions and ids of bundles.
        before: nothing may be younger.
    """
    return sorted(
        folder
        for folder, entries in folders.items()
        if entries and _owner(folder) not in owners and all(entry.modified < before for entry in entries)
    )


def _owner(folder: str) -> str | None:
    return session_uid(folder) or bundle_of(folder)


async def _folders(store: Store) -> dict[str, list[Entry]]:
    """Objects of sessions and bundles by folder; whatever else is there is left out."""
    found: dict[str, list[Entry]] = {}
    async for entry in store.list():
        folder = "/".join(entry.key.split("/")[:2])
        if _owner(folder) is not None and entry.key != folder:
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
