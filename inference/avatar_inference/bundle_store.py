"""Where a server keeps its bundles: a folder, the latest used in memory, perhaps a gateway behind."""

from __future__ import annotations

import logging
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Lock
from weakref import WeakValueDictionary

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Bundle
from avatar_inference.bundle_cache import BundleCache, folder_bytes
from avatar_inference.bundle_gateway import GatewayBundles
from avatar_inference.bundle_io import read_bundle, write_bundle
from avatar_inference.bundle_pictures import CACHE_BYTES

log = logging.getLogger(__name__)

MEMORY_BYTES = 1024**3
CACHE_BYTES_ON_DISK = 4 * 1024**3
_ID = re.compile(r"sha256:([0-9a-f]{64})")


def default_bundle_store() -> Path:
    """Where prepared avatars lie unless told: the user's data folder."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(home) / "avatar-operator/bundles"


class BundleStore:
    """Bundles by id. Safe to use from any thread.

    Args:
        root: folder of the bundles, made if missing.
        memory_bytes: of the latest used bundles held in memory; at least one is.
        shared: has what the folder lacks, and gets what is stored; the folder is but a cache then, and this
            store's alone.
        disk_bytes: of that cache.
    """

    def __init__(
        self,
        root: Path,
        memory_bytes: int = MEMORY_BYTES,
        shared: GatewayBundles | None = None,
        disk_bytes: int = CACHE_BYTES_ON_DISK,
    ) -> None:
        self._root = root
        self._memory_bytes = memory_bytes
        self._held: OrderedDict[str, Bundle] = OrderedDict()
        self._loading: dict[str, Lock] = {}
        self._lock = Lock()
        self._alive: WeakValueDictionary[str, Bundle] = WeakValueDictionary()
        root.mkdir(parents=True, exist_ok=True)
        self._behind = (shared, BundleCache(root, disk_bytes, self._let_go)) if shared else None

    def get(self, bundle: str) -> Bundle:
        """The bundle of this id.

        Raises:
            InvalidInputError: AvatarNotFound, or AvatarInvalid when what is stored is damaged.
            StoreError: the gateway refuses or can't be reached.
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
        """Stores a bundle, whole or not at all; returns its id. Storing it again changes nothing.

        Raises:
            StoreError: the gateway refuses or can't be reached.
        """
        with self._new_folder() as temporary:
            name = write_bundle(bundle, temporary)
            if self._behind:
                self._behind[0].put(name, temporary)
            self._place(temporary, name)
        if self._behind:
            self._behind[1].reserve(self._folder(name).name, folder_bytes(self._folder(name)))
        return name

    @contextmanager
    def _new_folder(self) -> Iterator[Path]:
        temporary = Path(mkdtemp(prefix=".new-", dir=self._root))
        try:
            yield temporary
        finally:
            rmtree(temporary, ignore_errors=True)

    def _place(self, temporary: Path, bundle: str) -> None:
        temporary.chmod(0o755)  # servers that share the folder may run as other users
        try:
            temporary.rename(self._folder(bundle))
        except OSError:
            if not self._folder(bundle).is_dir():
                raise

    def _folder(self, bundle: str) -> Path:
        match = _ID.fullmatch(bundle)
        if match is None:
            raise _unknown(bundle)
        return self._root / match[1]

    def _load(self, bundle: str) -> Bundle:
        folder = self._folder(bundle)
        if folder.is_dir():
            try:
                return read_bundle(folder, expect=bundle)
            except InvalidInputError as error:
                if self._behind is None:
                    raise
                log.warning("%s is fetched anew: %s", bundle, error)
        if self._behind is None:
            raise _unknown(bundle)
        self._fetch(bundle, *self._behind)
        return read_bundle(folder, expect=bundle)

    def _fetch(self, bundle: str, shared: GatewayBundles, cache: BundleCache) -> None:
        name = self._folder(bundle).name
        cache.remove(name)
        try:
            with self._new_folder() as temporary:
                shared.fetch(bundle, temporary, lambda size: cache.reserve(name, size))
                self._place(temporary, bundle)
        except BaseException:
            cache.remove(name)
            raise

    def _let_go(self, name: str) -> bool:
        """Whether neither an engine nor a render has the bundle, nor anybody is about to."""
        bundle = f"sha256:{name}"
        with self._lock:
            if bundle in self._loading:
                return False
            self._held.pop(bundle, None)
            return bundle not in self._alive

    def _recall(self, bundle: str) -> Bundle | None:
        with self._lock:
            return self._held.get(bundle)

    def _hold(self, bundle: str, found: Bundle) -> None:
        if self._behind:
            self._behind[1].used(self._folder(bundle).name)
        with self._lock:
            self._alive[bundle] = found
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
