"""Keys of links in files that change while a process runs, as those of a mounted Secret do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from avatar_core.links import SignedLinks, check_key

log = logging.getLogger(__name__)
LOOK_SECONDS = 5.0
"""Between two looks; the kubelet itself takes up to about a minute to change the file."""


class Look(StrEnum):
    """What a look at a key's file came to."""

    SAME = "same"
    CHANGING = "changing"
    TAKEN = "taken"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Held:
    """The key in use, and another that was found in its place once.

    Attributes:
        key: at least 32 bytes.
        next: what the last look found, if it was another good key.
    """

    key: bytes = field(repr=False)
    next: bytes | None = field(default=None, repr=False)


def decide(held: Held, found: bytes | None) -> tuple[Held, Look]:
    """What becomes of the key in use. Pure.

    Args:
        held: so far.
        found: in the file now; None: it can't be read.

    Returns:
        A good key takes the other's place when two looks in a row have found it, since the first may have
        met a file that was still being written. A file that is away or too short changes nothing.
    """
    try:
        good = None if found is None else check_key(found)
    except ValueError:
        good = None
    if good is None:
        return replace(held, next=None), Look.REFUSED
    if good == held.key:
        return replace(held, next=None), Look.SAME
    if good == held.next:
        return Held(good), Look.TAKEN
    return replace(held, next=good), Look.CHANGING


class KeyFile:
    """A key that is looked at again and again.

    Args:
        name: of the key, told in the log.
        path: of its file.

    Raises:
        OSError: it can't be read now, at the start.
        ValueError: it is too short.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self._path = name, path
        self._held = Held(check_key(path.read_bytes()))
        self._refused = False

    @property
    def key(self) -> bytes:
        """The one in use."""
        return self._held.key

    def look(self) -> Look:
        """Reads the file; tells the log what is new, and never the key."""
        found, why = None, "it is too short"
        try:
            found = self._path.read_bytes()
        except OSError as error:
            why = error.strerror or type(error).__name__
        self._held, look = decide(self._held, found)
        if look is Look.TAKEN:
            log.info("the key %s of links was changed: links are held against the new one", self.name)
        elif look is Look.REFUSED and not self._refused:
            log.error("%s, key %s of links: %s; the key before it stays", self._path, self.name, why)
        self._refused = look is Look.REFUSED
        return look


@dataclass(frozen=True, slots=True)
class FollowedLinks:
    """Makes links with whatever key its file holds.

    Attributes:
        base: of the gateway, as viewers reach it.
        file: of the key; its name stands in the links.
    """

    base: str
    file: KeyFile

    def url(self, namespace: str, uid: str, expires_at: int) -> str:
        """A link to the video of a session, good until `expires_at` (Unix seconds)."""
        return SignedLinks(self.base, self.file.name, self.file.key).url(namespace, uid, expires_at)


async def follow(
    files: Sequence[KeyFile], told: Callable[[str, Look], None], seconds: float = LOOK_SECONDS
) -> None:
    """Looks at all files for as long as it runs.

    Args:
        files: of keys.
        told: of each look, with the key's name.
        seconds: between two looks.
    """
    while True:
        await asyncio.sleep(seconds)
        for file in files:
            told(file.name, file.look())
