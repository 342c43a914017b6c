"""Clean-up of whole folders: by the operator's Jobs, and by the sweep."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from avatar_core.cluster.kube import Kube, KubeError
from avatar_core.errors import AvatarError, Reason, StoreError
from avatar_core.store import Entry, ObjectStore
from avatar_session.empty_folders import empty_folders
from avatar_session.sweep import orphans, sweep

ONE, TWO, THREE = (f"{digit * 8}-2222-3333-4444-555555555555" for digit in "123")
HOUR = timedelta(hours=1)


async def filled(path: Path, *folders: str) -> ObjectStore:
    store = ObjectStore(str(path))
    for folder in folders:
        for name in ("video.mp4", "result.json", "live/a.m4s"):
            await store.put(f"{folder}/{name}", b"1", "text/plain")
    return store


async def keys(store: ObjectStore) -> set[str]:
    return {entry.key async for entry in store.list()}


async def test_folders_are_emptied_and_their_neighbours_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = await filled(tmp_path, f"ns/{ONE}", f"ns/{TWO}", f"other/{ONE}")
    await empty_folders([f"ns/{ONE}", f"ns/{THREE}"], store)
    assert {key.rsplit("/", 1)[0].removesuffix("/live") for key in await keys(store)} == {
        f"ns/{TWO}",
        f"other/{ONE}",
    }
    assert [r.message for r in caplog.records] == [f"deleted ns/{ONE}/video.mp4 (1 bytes)"]
    await empty_folders([f"ns/{ONE}"], store)


@pytest.mark.parametrize(
    "odd",
    ["", "ns", "ns/", "/", "..", f"../{ONE}", f"ns/{ONE}/video.mp4", "ns/uid", f"ns//{ONE}", f"*/{ONE}"],
)
async def test_odd_names_are_refused_and_the_others_are_emptied(tmp_path: Path, odd: str) -> None:
    store = await filled(tmp_path, f"ns/{ONE}", f"ns/{TWO}")
    with pytest.raises(AvatarError) as caught:
        await empty_folders([odd, f"ns/{ONE}"], store)
    assert caught.value.reason is Reason.INVALID_ARGUMENT
    assert all(key.startswith(f"ns/{TWO}/") for key in await keys(store))
    assert await keys(store)


class _Stubborn(ObjectStore):
    """Does not give up one session's objects."""

    async def delete(self, key: str) -> None:
        if ONE in key:
            raise StoreError(Reason.STORE_UNAVAILABLE, "no")
        await super().delete(key)


async def test_a_folder_that_stays_does_not_keep_the_others(tmp_path: Path) -> None:
    await filled(tmp_path, f"ns/{ONE}", f"ns/{TWO}")
    store = _Stubborn(str(tmp_path))
    with pytest.raises(StoreError):
        await empty_folders([f"ns/{ONE}", f"ns/{TWO}"], store)
    assert {key.split("/")[1] for key in await keys(store)} == {ONE}


def run(tmp_path: Path, folders: object, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    path = tmp_path / "folders.json"
    path.write_text(json.dumps(folders))
    command = [sys.executable, "-m", "avatar_session.empty_folders", "--folders", str(path)]
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    return ran.returncode, [json.loads(line) for line in ran.stderr.splitlines()]


async def test_as_a_process(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store", f"ns/{ONE}", f"ns/{TWO}")
    url = str(tmp_path / "store")
    code, lines = run(tmp_path, [f"ns/{ONE}", "odd"], AVATAR_STORE=url)
    assert code == 2
    assert [line["level"] for line in lines] == ["info", "error", "error"]
    assert {key.split("/")[1] for key in await keys(store)} == {TWO}
    assert run(tmp_path, [f"ns/{ONE}", f"ns/{TWO}"], AVATAR_STORE=url)[0] == 0
    assert await keys(store) == set()
    assert run(tmp_path, [], AVATAR_STORE="")[0] == 2
    assert run(tmp_path, {"ns": 1}, AVATAR_STORE=url)[0] == 2


def test_what_is_an_orphan() -> None:
    now = datetime.now(UTC)
    old, new = Entry("x", 1, now - 2 * HOUR), Entry("x", 1, now)
    folders = {
        f"ns/{ONE}": [old, old],  # of nobody
        f"ns/{TWO}": [old],  # lives
        f"ns/{THREE}": [old, new],  # written a moment ago
    }
    assert orphans(folders, {TWO}, now - HOUR) == [f"ns/{ONE}"]
    assert orphans(folders, {TWO}, now + HOUR) == [f"ns/{ONE}", f"ns/{THREE}"]
    assert orphans({}, set(), now) == []


class FakeKube:
    """Lists some sessions, and may break off."""

    def __init__(self, *uids: str, breaks: bool = False) -> None:
        self._uids, self._breaks = uids, breaks

    async def list(self, path: str, query: object, *, only_metadata: bool) -> AsyncIterator[dict[str, Any]]:
        for uid in self._uids:
            yield {"metadata": {"uid": uid}}
        if self._breaks:
            raise KubeError(410, "Expired", "the continue token is too old")


async def test_a_sweep_deletes_orphans_and_nothing_else(tmp_path: Path) -> None:
    store = await filled(tmp_path, f"ns/{ONE}", f"ns/{TWO}", "ns/uid", "elsewhere")
    kube = cast("Kube", FakeKube(TWO))
    assert await sweep(store, kube, HOUR) == []
    assert await sweep(store, kube, timedelta(0), dry_run=True) == [f"ns/{ONE}"]
    assert len(await keys(store)) == 12
    assert await sweep(store, kube, timedelta(0)) == [f"ns/{ONE}"]
    assert len(await keys(store)) == 9
    assert not any(ONE in key for key in await keys(store))


async def test_a_folder_that_stays_does_not_end_a_sweep(tmp_path: Path) -> None:
    await filled(tmp_path, f"ns/{ONE}", f"ns/{TWO}", f"ns/{THREE}")
    store = _Stubborn(str(tmp_path))
    with pytest.raises(StoreError):
        await sweep(store, cast("Kube", FakeKube(THREE)), timedelta(0))
    assert {key.split("/")[1] for key in await keys(store)} == {ONE, THREE}


async def test_a_list_of_sessions_that_is_not_whole_deletes_nothing(tmp_path: Path) -> None:
    store = await filled(tmp_path, f"ns/{ONE}", f"ns/{TWO}")
    with pytest.raises(KubeError):
        await sweep(store, cast("Kube", FakeKube(TWO, breaks=True)), timedelta(0))
    assert len(await keys(store)) == 6
