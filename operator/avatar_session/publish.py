"""The last stage: the fragments become a progressive MP4 in the store, then `result.json` makes it count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from avatar_core.errors import AvatarError, Reason, StoreError
from avatar_core.folders import RESULT, VIDEO
from avatar_core.media.mp4 import remux
from avatar_core.store import BLOCK_BYTES, Store, Stored
from avatar_core.store_errors import typed_store_error
from avatar_session.progress import Progress
from avatar_session.receipt import Receipt

P = ParamSpec("P")
T = TypeVar("T")


def video_key(folder: str) -> str:
    """Key of a session's video."""
    return f"{folder}/{VIDEO}"


def result_key(folder: str) -> str:
    """Key of a session's receipt."""
    return f"{folder}/{RESULT}"


async def upload_video(
    fragments: Path, folder: str, metadata: Mapping[str, str], store: Store, progress: Progress
) -> Stored:
    """Remuxes and uploads the video.

    Args:
        fragments: init segment and fragments in one file; the MP4 is made beside it.
        folder: the session's keys begin with it.
        metadata: for the file, besides what the fragments say.
        store: where to.
        progress: told of every megabyte.

    Raises:
        StoreError: also when the store holds something else afterwards.
    """
    target = fragments.with_name(VIDEO)
    try:
        await _to_the_end(remux, fragments, target, metadata)
    except OSError as error:
        raise typed_store_error(error, "write", str(target)) from None
    body = _Told(target, target.stat().st_size, progress)
    stored = await store.put(video_key(folder), body, "video/mp4")
    found = await store.head(stored.key)
    if found is None or found.size != stored.size:
        raise StoreError(Reason.STORE_UNAVAILABLE, f"the store took {stored.key} and holds something else")
    return stored


async def commit(receipt: Receipt, folder: str, store: Store) -> None:
    """Writes the receipt: from now on the video counts. Without it the video is taken back.

    Raises:
        StoreError: the receipt could not be written.
    """
    try:
        await store.put(result_key(folder), receipt.to_json(), "application/json")
    except AvatarError:
        with suppress(AvatarError):
            # Over a network it may have been taken although nobody said so.
            if await committed(folder, store) == receipt:
                return
            await store.delete(receipt.video.key)
        raise


async def committed(folder: str, store: Store) -> Receipt | None:
    """The receipt of a session that was published before, if it was."""
    data = await store.get(result_key(folder))
    try:
        return None if data is None else Receipt.from_json(data)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Told:
    """A file in pieces, as often as a store has to begin anew."""

    path: Path
    total: int
    progress: Progress

    async def __aiter__(self) -> AsyncIterator[bytes]:
        done = 0
        with self.path.open("rb") as file:
            while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
                yield block
                done += len(block)
                self.progress.update("publish", done, total=self.total)


async def _to_the_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `work` in a thread; when cancelled, waits for it first: its files are about to be removed."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
