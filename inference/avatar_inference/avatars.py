"""Finds avatars by name or id and keeps what the engine loaded of them, while it fits."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Bundle
from avatar_inference.bundle_io import MANIFEST_FILE, read_bundle
from avatar_inference.bundle_manifest import bundle_id
from avatar_inference.bundle_store import BundleStore
from avatar_inference.engine import Engine

LOADED = 16
"""Avatars the engine keeps ready."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedAvatar:
    """An avatar ready to be drawn: its id, its bundle and what the engine made of it."""

    id: str
    bundle: Bundle
    state: Any


class Avatars:
    """The avatars one server knows.

    Args:
        engine: loads bundles.
        store: where prepared bundles lie.
    """

    def __init__(self, engine: Engine, store: BundleStore) -> None:
        self._engine = engine
        self._store = store
        self._loaded: OrderedDict[str, asyncio.Task[LoadedAvatar]] = OrderedDict()

    async def get(self, name: str) -> LoadedAvatar:
        """The avatar of this name or id; asked for twice at once, it is loaded once.

        Raises:
            InvalidInputError: AvatarNotFound, or AvatarInvalid when the bundle is damaged.
        """
        task = self._loaded.get(name)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._load, name))
            self._loaded[name] = task
        self._loaded.move_to_end(name)
        if len(self._loaded) > LOADED:
            self._loaded.popitem(last=False)
        try:
            # One caller's cancellation must not take the avatar from the others.
            return await asyncio.shield(task)
        except Exception:
            self._loaded.pop(name, None)
            raise

    def _load(self, name: str) -> LoadedAvatar:
        if folder := self._engine.builtin(name):
            identity = bundle_id((folder / MANIFEST_FILE).read_bytes())
            bundle = read_bundle(folder, expect=identity)
        elif name.startswith("sha256:"):
            bundle, identity = self._store.get(name), name
        else:
            message = (
                f"{name!r} is neither a built-in avatar of engine {self._engine.name} nor a bundle id "
                f"(sha256:…); `avatar prepare FILE --engine {self._engine.name}` makes one"
            )
            raise InvalidInputError(Reason.AVATAR_NOT_FOUND, message, field="config.avatar_id")
        return LoadedAvatar(identity, bundle, self._engine.load(bundle))
