"""What a later attempt finds of an earlier one: its reply and its speech, each only when whole."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avatar_core.errors import StoreError
from avatar_core.folders import REPLY, SOUND, SPEECH
from avatar_core.store import Store
from avatar_session.reply import Reply
from avatar_session.speech.voice import Sound
from avatar_session.spool import Sentence, Spool

log = logging.getLogger(__name__)


class Kept:
    """Objects of one session in the store.

    Args:
        store: where.
        folder: the session's keys begin with it.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._reply, self._facts, self._sound = (f"{folder}/{name}" for name in (REPLY, SPEECH, SOUND))

    async def keep_reply(self, reply: Reply) -> None:
        """Stores a complete reply, if the store answers: without it, only another attempt costs more."""
        with _unless_unavailable(self._reply):
            await self._store.put(self._reply, json.dumps(asdict(reply)).encode(), "application/json")

    async def find_reply(self) -> Reply | None:
        """The reply of an earlier attempt, if it was completed."""
        try:
            data = await self._store.get(self._reply)
            return None if data is None else Reply(**json.loads(data))
        except (ValueError, TypeError):
            log.warning("%s is damaged; the reply is written anew", self._reply)
            return None

    async def keep_speech(self, spool: Spool) -> None:
        """Stores complete speech as `keep_reply`: the sound first, then the facts that make it count."""
        with _unless_unavailable(self._sound):
            stored = await self._store.put(self._sound, spool.path, "application/octet-stream")
            facts = {
                "rate": spool.rate,
                "channels": spool.channels,
                "sentences": [asdict(sentence) for sentence in spool.sentences],
                "sha256": stored.sha256,
            }
            await self._store.put(self._facts, json.dumps(facts).encode(), "application/json")

    async def find_speech(self, path: Path) -> Spool | None:
        """The speech of an earlier attempt, as a finished spool at `path`, if it was completed."""
        data = await self._store.get(self._facts)
        if data is None or await self._store.head(self._sound) is None:
            return None
        spool = Spool(path)
        try:
            await _fill(spool, json.loads(data), self._store.read(self._sound))
        except (ValueError, TypeError, KeyError):
            log.warning("%s is damaged; the text is spoken anew", self._sound)
            spool.remove()
            return None
        return spool

    async def discard(self) -> None:
        """Removes everything kept."""
        for key in (self._facts, self._sound, self._reply):
            await self._store.delete(key)


@contextmanager
def _unless_unavailable(key: str) -> Iterator[None]:
    """What passes is logged; what is final would fail the video, too, and is raised now."""
    try:
        yield
    except StoreError as error:
        if not error.info.retry:
            raise
        log.warning("%s is not kept: %s", key, error)


async def _fill(spool: Spool, facts: dict[str, Any], pieces: AsyncIterable[bytes]) -> None:
    """Raises ValueError, TypeError or KeyError when facts and sound do not fit."""
    digest, rest, width = hashlib.sha256(), b"", 2 * int(facts["channels"])
    async for piece in pieces:
        digest.update(piece)
        rest += piece
        whole = len(rest) // width * width
        spool.write(Sound(facts["rate"], facts["channels"], rest[:whole]))
        rest = rest[whole:]
    if digest.hexdigest() != facts["sha256"]:
        raise ValueError("wrong checksum")
    spool.sentences = [Sentence(**sentence) for sentence in facts["sentences"]]
    spool.finish()
