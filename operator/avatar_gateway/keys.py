"""Names of objects as pods may write them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from avatar_core.folders import NAMESPACE, OBJECTS, PIECE, UID

PREFIX = "/v1/store/"
_NAME = "|".join([*map(re.escape, OBJECTS), PIECE])
_PATH = re.compile(f"{PREFIX}(?P<namespace>{NAMESPACE})/(?P<uid>{UID})/(?P<name>{_NAME})")
_TYPES = {"json": "application/json", "mp4": "video/mp4", "m4s": "video/mp4"}


@dataclass(frozen=True, slots=True)
class Key:
    """An object of a session.

    Attributes:
        namespace, uid: of the session.
        name: one of `avatar_core.folders.OBJECTS`, or a piece.
    """

    namespace: str
    uid: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.uid}/{self.name}"

    @property
    def content_type(self) -> str:
        """By the name alone: what a pod says would be believed by browsers later."""
        return content_type(self.name)


def read_key(raw_path: str) -> Key | None:
    """The key that a request's path names, before any percent sign is undone; None when it is none."""
    found = _PATH.fullmatch(raw_path)
    return Key(found["namespace"], found["uid"], found["name"]) if found else None


def content_type(name: str) -> str:
    """Of an object of this name."""
    return _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
