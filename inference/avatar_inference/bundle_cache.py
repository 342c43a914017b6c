"""A folder of bundles that are kept elsewhere too: the longest unused go when others need their room."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Lock

log = logging.getLogger(__name__)

LetGo = Callable[[str], bool]
"""Whether nobody needs a folder, by its name; then nothing of it is held any more."""


def to_delete(sizes: Mapping[str, int], needed: int, limit: int, let_go: LetGo) -> list[str]:
    """Which folders go so that `needed` bytes more fit into `limit`; all that may go, if that is not enough.

    Args:
        sizes: bytes by name, the longest unused first.
        needed: bytes to come.
        limit: bytes in all.
        let_go: asked only of those that would have to go.
    """
    over, found = sum(sizes.values()) + needed - limit, []
    for name, size in sizes.items():
        if over <= 0:
            break
        if let_go(name):
            found.append(name)
            over -= size
    return found


class BundleCache:
    """What lies in the folder, and for how long it was not used. Safe to use from any thread.

    The folder must be this server's alone. What an earlier one left is taken over, halves are deleted.

    Args:
        root: the folder, which exists.
        limit_bytes: of all bundles; exceeded only by what is in use or is larger than that.
        let_go: asks whoever may use a bundle.
    """

    def __init__(self, root: Path, limit_bytes: int, let_go: LetGo) -> None:
        self._root, self._limit, self._let_go = root, limit_bytes, let_go
        self._lock = Lock()
        for half in root.glob(".*-*"):
            rmtree(half, ignore_errors=True)
        found = sorted((each.stat().st_mtime, each) for each in root.iterdir() if each.is_dir())
        self._sizes = OrderedDict((folder.name, folder_bytes(folder)) for _, folder in found)

    def reserve(self, name: str, size: int) -> None:
        """Makes room for a folder that is about to come."""
        with self._lock:
            self._sizes.pop(name, None)
            for each in to_delete(self._sizes, size, self._limit, self._let_go):
                del self._sizes[each]
                self._delete(each)
            self._sizes[name] = size
            if (held := sum(self._sizes.values())) > self._limit:
                log.warning("bundles take %d bytes instead of %d: all are in use", held, self._limit)

    def used(self, name: str) -> None:
        """The folder was used just now."""
        with self._lock:
            if name in self._sizes:
                self._sizes.move_to_end(name)
        with suppress(OSError):
            os.utime(self._root / name)  # for the server after a restart

    def remove(self, name: str) -> None:
        """Deletes a folder, or what was reserved for one that did not come."""
        with self._lock:
            self._sizes.pop(name, None)
            self._delete(name)

    def _delete(self, name: str) -> None:
        """At once for whoever looks: a folder is there as a whole or not at all."""
        grave = Path(mkdtemp(prefix=".old-", dir=self._root))
        with suppress(OSError):
            (self._root / name).rename(grave / name)
        rmtree(grave, ignore_errors=True)


def folder_bytes(folder: Path) -> int:
    """Of the files in a folder."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
