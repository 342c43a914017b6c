"""Preparation when the client goes away: the thread ends soon, and the next client's turn comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from avatar_core.errors import AvatarError
from avatar_inference.bundle_store import BundleStore
from avatar_inference.engine import Prepared, PrepareOptions, PrepareProgress
from avatar_inference.preparation import Preparation
from avatar_inference.preview.engine import PreviewEngine
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb

PICTURES = 1000


class SlowEngine(PreviewEngine):
    """Takes twenty seconds, as a large network on a CPU takes hours."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_at = 0
        self.error: Exception | None = None

    def prepare(self, source: Path, options: PrepareOptions, progress: PrepareProgress) -> Prepared:
        try:
            for self.looked_at in range(PICTURES):
                assert source.is_file()
                progress("looking", self.looked_at, PICTURES)
                time.sleep(0.02)
        except Exception as error:
            self.error = error
            raise
        raise AssertionError("it was not stopped")


async def requests() -> AsyncIterator[pb.PrepareAvatarRequest]:
    yield pb.PrepareAvatarRequest(config=pb.PrepareAvatarConfig(name="slow"))
    yield pb.PrepareAvatarRequest(chunk=b"a picture")


async def test_a_client_that_goes_away_stops_the_work(tmp_path: Path) -> None:
    engine = SlowEngine()
    begun = asyncio.Event()

    async def write(response: pb.PrepareAvatarResponse) -> None:
        begun.set()

    call = asyncio.create_task(Preparation(engine, BundleStore(tmp_path)).run(requests(), write))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    # The call waits for its thread, so nothing runs any more; and its source was there to the end.
    assert engine.looked_at < PICTURES - 1
    assert isinstance(engine.error, AvatarError)
    assert engine.error.reason == "Cancelled"
