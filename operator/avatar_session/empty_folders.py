"""`python -m avatar_session.empty_folders`: deletes all that sessions have in the store; the clean-up pod.

It reads a list of "namespace/uid", and ends with 0 only when each of these folders is empty. A folder that
can't be emptied does not keep the others from it. AVATAR_STORE names the store.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from avatar_core.errors import AvatarError, InvalidInputError, Reason, StoreError
from avatar_core.folders import BUNDLE_MANIFEST, RESULT, VIDEO, session_uid
from avatar_core.logs import configure_logs
from avatar_core.signals import end_when_told
from avatar_session.pod import failure, leave

if TYPE_CHECKING:
    from avatar_core.store import Entry, Store

log = logging.getLogger(__name__)

FOLDERS = Path("/etc/avatar/folders.json")
STORE_VARIABLE = "AVATAR_STORE"
_COMMITS = (f"/{RESULT}", f"/{BUNDLE_MANIFEST}")
_TOLD = (f"/{VIDEO}", f"/{BUNDLE_MANIFEST}")
PASSES = 3
"""An upload that was under way may bring one more object."""


async def empty_folders(folders: Iterable[str], store: Store) -> None:
    """Empties all of them, as far as it can.

    Raises:
        AvatarError: the first that went wrong.
    """
    failures: list[AvatarError] = []
    for folder in folders:
        try:
            await _empty(folder, store)
        except AvatarError as error:
            log.error("%s is not empty: %s", folder, error, extra={"folder": folder})
            failures.append(error)
    if failures:
        raise failures[0]


async def delete_objects(store: Store, entries: Iterable[Entry], *, dry_run: bool = False) -> None:
    """Deletes the objects of a session or a bundle, one log line a video or bundle.

    What says that all the others are there goes first: with the receipt and without the video, a later
    attempt would believe that all is made; a bundle is there for as long as its manifest is.
    """
    verb = "would delete" if dry_run else "deleted"
    for entry in sorted(entries, key=lambda entry: not entry.key.endswith(_COMMITS)):
        if not dry_run:
            await store.delete(entry.key)
        level = logging.INFO if entry.key.endswith(_TOLD) else logging.DEBUG
        log.log(level, "%s %s (%d bytes)", verb, entry.key, entry.size, extra={"key": entry.key})


def read_folders(path: Path) -> list[str]:
    """The list in a file.

    Raises:
        InvalidInputError: it is none.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"{path} can't be read: {error}") from None
    if not isinstance(found, list) or not all(isinstance(folder, str) for folder in found):
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"{path} holds no list of folders")
    return found


def store_of(environment: Mapping[str, str]) -> Store:
    """The store that the environment names.

    Raises:
        AvatarError: none, or it can't be opened.
    """
    from avatar_core.store import ObjectStore

    url = environment.get(STORE_VARIABLE)
    if not url:
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"the variable {STORE_VARIABLE} is not set")
    return ObjectStore(url)


async def _empty(folder: str, store: Store) -> None:
    if session_uid(folder) is None:
        message = f"{folder[:100]!r} is no folder of a session; it is left alone"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message)
    for _ in range(PASSES):
        entries = [entry async for entry in store.list(f"{folder}/")]
        if not entries:
            return
        await delete_objects(store, entries)
    if [entry async for entry in store.list(f"{folder}/")]:
        raise StoreError(Reason.STORE_UNAVAILABLE, "objects come faster than they can be deleted")


def main() -> None:
    """Reads the command line and works; ends the process."""
    parser = argparse.ArgumentParser(prog="avatar_session.empty_folders", description=__doc__)
    parser.add_argument("--folders", type=Path, default=FOLDERS, help='a JSON list of "namespace/uid"')
    arguments = parser.parse_args()
    end_when_told()
    configure_logs()
    code = 0
    try:
        asyncio.run(empty_folders(read_folders(arguments.folders), store_of(os.environ)))
    except Exception as error:
        words, code = failure(error)
        log.error("%s: %s", words["reason"], words["message"])
    leave(code)


if __name__ == "__main__":
    main()
