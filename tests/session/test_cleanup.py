"""Clean-up: what has expired goes, one log line each, and nothing else."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.store import ObjectStore
from avatar_session.cleanup import clean_folder, clean_sessions
from avatar_session.progress import StageTiming
from avatar_session.receipt import Receipt, Usage, VideoFile

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def receipt(uid: str, expires_at: datetime, text: str = "Hello.") -> Receipt:
    return Receipt(
        name="hello",
        namespace="default",
        uid=uid,
        attempt=1,
        reply=text,
        reply_cut=False,
        video=VideoFile(f"default/{uid}/video.mp4", 5, "0" * 64, 1.2, 18, "30000/1001", 512, 512, expires_at),
        usage=Usage(1, 2, True, 3, 4.5, 0.0),
        timings={"render": StageTiming(0.1, 0.2, 0.3)},
        first_frame_seconds=0.2,
        total_seconds=0.4,
        engine="preview",
        avatar="sha256:1",
        render_id="r",
        notes=("procedural",),
        started_at=NOW,
        finished_at=NOW,
    )


async def store_session(store: ObjectStore, uid: str, expires_at: datetime) -> None:
    await store.put(f"default/{uid}/video.mp4", b"video", "video/mp4")
    await store.put(f"default/{uid}/result.json", receipt(uid, expires_at).to_json(), "application/json")


@pytest.fixture
async def store(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(str(tmp_path / "store"))
    await store_session(store, "old", NOW - timedelta(seconds=1))
    await store_session(store, "now", NOW)
    await store_session(store, "young", NOW + timedelta(seconds=1))
    await store.put("default/old/reply.json", b"left over", "application/json")
    await store.put("default/working/speech.pcm", b"speech", "application/octet-stream")
    await store.put("default/odd/result.json", b"not a receipt", "application/json")
    await store.put("elsewhere.mp4", b"mine", "video/mp4")
    return store


async def keys(store: ObjectStore) -> set[str]:
    return {entry.key async for entry in store.list()}


async def test_only_expired_sessions_go(store: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = await keys(store)
    deleted = await clean_sessions(store, NOW)
    assert [(video.key, video.expired) for video in deleted] == [
        ("default/now/video.mp4", NOW),
        ("default/old/video.mp4", NOW - timedelta(seconds=1)),
    ]
    assert before - await keys(store) == {
        *("default/old/video.mp4", "default/old/result.json", "default/old/reply.json"),
        *("default/now/video.mp4", "default/now/result.json"),
    }
    lines = [record.message for record in caplog.records if record.message.startswith("deleted")]
    assert len(lines) == 2
    assert "default/old/video.mp4" in lines[1]
    assert any("odd/result.json can't be read" in record.message for record in caplog.records)
    assert await clean_sessions(store, NOW) == []


async def test_a_dry_run_tells_and_touches_nothing(
    store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = await keys(store)
    assert len(await clean_sessions(store, NOW, dry_run=True)) == 2
    assert await keys(store) == before
    assert sum("would delete" in record.message for record in caplog.records) == 2


async def test_an_interrupted_clean_up_is_finished_by_the_next(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    delete = ObjectStore.delete

    async def failing(self: ObjectStore, key: str) -> None:
        if len(removed) == 1:
            raise ConnectionError
        removed.append(key)
        await delete(self, key)

    monkeypatch.setattr(ObjectStore, "delete", failing)
    with pytest.raises(ConnectionError):
        await clean_sessions(store, NOW)
    monkeypatch.setattr(ObjectStore, "delete", delete)
    await clean_sessions(store, NOW)
    assert not {key for key in await keys(store) if "/old/" in key or "/now/" in key}


async def test_a_receipt_that_points_elsewhere_deletes_nothing(store: ObjectStore) -> None:
    wrong = replace(
        receipt("evil", NOW - timedelta(days=1)), video=receipt("young", NOW - timedelta(1)).video
    )
    await store.put("default/evil/result.json", wrong.to_json(), "application/json")
    await clean_sessions(store, NOW)
    assert {"default/young/video.mp4", "default/evil/result.json"} <= await keys(store)


def test_a_folders_old_videos_go_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outside = tmp_path / "outside.mp4"
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    ages = {"old.mp4": 3601, "edge.mp4": 3600, "young.mp4": 3599, "old.txt": 9999, "sub/old.mp4": 9999}
    for name, age in ages.items():
        (folder / name).write_bytes(b"video")
        os.utime(folder / name, (NOW.timestamp() - age,) * 2)
    outside.write_bytes(b"mine")
    os.utime(outside, (0, 0))
    (folder / "link.mp4").symlink_to(outside)
    (folder / "folder.mp4").mkdir()
    assert len(clean_folder(folder, timedelta(hours=1), NOW, dry_run=True)) == 2
    deleted = clean_folder(folder, timedelta(hours=1), NOW)
    assert {Path(video.key).name for video in deleted} == {"old.mp4", "edge.mp4"}
    assert {path.name for path in folder.iterdir()} == {
        *("young.mp4", "old.txt", "sub", "link.mp4", "folder.mp4"),
    }
    assert (folder / "sub/old.mp4").exists()
    assert outside.exists()
    assert sum(record.message.startswith("deleted") for record in caplog.records) == 2


@given(st.text(), st.floats(0, 1e6), st.datetimes(timezones=st.just(UTC)))
def test_receipts_come_back_from_json(text: str, seconds: float, moment: datetime) -> None:
    original = replace(receipt("uid", moment, text), total_seconds=seconds)
    assert Receipt.from_json(original.to_json()) == original
    assert b'"expiresAt"' in original.to_json()
    assert b'"firstFrameSeconds"' in original.to_json()


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"name": "x"}'])
def test_anything_else_is_no_receipt(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Receipt.from_json(data)
