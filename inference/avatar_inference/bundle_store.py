"""Where a server keeps its bundles: a folder of folders by id, and the latest used in memory."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Lock

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Bundle
from avatar_inference.bundle_io import read_bundle, write_bundle
from avatar_inference.bundle_pictures import CACHE_BYTES

MEMORY_BYTES = 1024**3
_ID = re.compile(r"sha256:([0-9a-f]{64})")


class BundleStore:
    """Bundles by id. Safe to use from any thread.

    Args:
        root: folder of the bundles, made if missing.
        memory_bytes: of the latest used bundles held in memory; at least one is.
    """

    def __init__(self, root: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self._root = root
        self._memory_bytes = memory_bytes
        self._held: OrderedDict[str, Bundle] = OrderedDict()
        self._loading: dict[str, Lock] = {}
        self._lock = Lock()
        root.mkdir(parents=True, exist_ok=True)

    def get(self, bundle: str) -> Bundle:
        """The bundle of this id.

        Raises:
            InvalidInputError: AvatarNotFound, or AvatarInvalid when what is stored is damaged.
        """
        with self._lock:
            loading = self._loading.setdefault(bundle, Lock())
        with loading:  # two streams that ask for the same bundle load it once; others are not held up
            try:
                found = self._recall(bundle) or self._load(bundle)
                self._hold(bundle, found)
                return found
            finally:
                with self._lock:
                    self._loading.pop(bundle, None)

    def put(self, bundle: Bundle) -> str:
        """Stores a bundle, whole or not at all; returns its id. Storing it again changes nothing."""
        temporary = Path(mkdtemp(prefix=".new-", dir=self._root))
        try:
            name = write_bundle(bundle, temporary)
            temporary.chmod(0o755)  # servers that share the folder may run as other users
            try:
                temporary.rename(self._folder(name))
            except OSError:
                if not self._folder(name).is_dir():
                    raise
            return name
        finally:
            rmtree(temporary, ignore_errors=True)

    def _folder(self, bundle: str) -> Path:
        match = _ID.fullmatch(bundle)
        if match is None:
            raise _unknown(bundle)
        return self._root / match[1]

    def _load(self, bundle: str) -> Bundle:
        folder = self._folder(bundle)
        if not folder.is_dir():
            raise _unknown(bundle)
        return read_bundle(folder, expect=bundle)

    def _recall(self, bundle: str) -> Bundle | None:
        with self._lock:
            return self._held.get(bundle)

    def _hold(self, bundle: str, found: Bundle) -> None:
        with self._lock:
            self._held[bundle] = found
            self._held.move_to_end(bundle)
            while len(self._held) > 1 and sum(map(held_bytes, self._held.values())) > self._memory_bytes:
                self._held.popitem(last=False)


def held_bytes(bundle: Bundle) -> int:
    """About how much memory a bundle takes, at most."""
    arrays = sum(array.nbytes for array in bundle.arrays.values())
    masks = sum({id(mask): mask.nbytes for mask in bundle.masks if mask is not None}.values())
    pictures = len(bundle.pictures) * 3 * bundle.width * bundle.height
    return arrays + masks + min(pictures, CACHE_BYTES)


def _unknown(bundle: str) -> InvalidInputError:
    message = f"there is no avatar {bundle[:100]!r}; an id is sha256: and 64 hexadecimal digits"
    return InvalidInputError(Reason.AVATAR_NOT_FOUND, message, field="config.avatar_id")
