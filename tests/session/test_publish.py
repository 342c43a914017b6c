"""The commit, over a way that loses answers."""

from __future__ import annotations

from collections.abc import AsyncIterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from avatar_core.errors import Reason, StoreError
from avatar_core.store import ObjectStore, Stored
from avatar_session.publish import commit, committed
from avatar_session.receipt import Receipt, Usage, VideoFile

FOLDER, NOW = "ns/uid", datetime(2026, 1, 1, tzinfo=UTC)
VIDEO = VideoFile(f"{FOLDER}/video.mp4", 3, "ab" * 32, 1.0, 25, "25", 512, 512, NOW)
RECEIPT = Receipt(
    *("hello", "ns", "uid", 1, "Hello.", False, VIDEO, Usage(), {}),
    *(0.5, 1.0, "preview", "ava", "r-1", (), NOW, NOW),
)


class LossyStore(ObjectStore):
    """Says that it failed: after it stored the receipt (`takes`), or before."""

    takes = True

    async def put(self, key: str, source: bytes | Path | AsyncIterable[bytes], content_type: str) -> Stored:
        if key.endswith("video.mp4") or self.takes:
            stored = await super().put(key, source, content_type)
            if key.endswith("video.mp4"):
                return stored
        raise StoreError(Reason.STORE_UNAVAILABLE, "nobody answered")


async def test_a_receipt_that_is_there_is_a_commit(tmp_path: Path) -> None:
    store = LossyStore(str(tmp_path))
    await store.put(VIDEO.key, b"mp4", "video/mp4")
    await commit(RECEIPT, FOLDER, store)
    assert await committed(FOLDER, store) == RECEIPT
    assert await store.get(VIDEO.key) == b"mp4"


async def test_without_a_receipt_the_video_is_taken_back(tmp_path: Path) -> None:
    store = LossyStore(str(tmp_path))
    store.takes = False
    await store.put(VIDEO.key, b"mp4", "video/mp4")
    with pytest.raises(StoreError):
        await commit(RECEIPT, FOLDER, store)
    assert await store.get(VIDEO.key) is None
