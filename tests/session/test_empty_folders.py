"""Clean-up of whole folders: by the operator's Jobs, and by the sweep."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from avatar_core.cluster.kube import Kube, KubeError
from avatar_core.errors import AvatarError, Reason, StoreError
from avatar_core.folders import BUNDLE_FILES, BUNDLE_MANIFEST
from avatar_core.store import Entry, ObjectStore
from avatar_session.empty_folders import empty_folders
from avatar_session.sweep import AVATARS, SESSIONS, named, orphans, sweep

ONE, TWO, THREE = (f"{digit * 8}-2222-3333-4444-555555555555" for digit in "123")
FACE, OTHER = (f"sha256:{digit * 64}" for digit in "ab")
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


def test_what_an_object_stands_for() -> None:
    session = {"metadata": {"uid": ONE}, "spec": {}, "status": {"avatar": FACE}}
    avatar = {"metadata": {"uid": TWO}, "spec": {"source": {"bundle": OTHER}}, "status": {"bundle": FACE}}
    assert named(session) == {ONE, FACE}
    assert named({**session, "status": {"avatar": FACE, "completedAt": "2026-01-02T03:04:05Z"}}) == {ONE}
    assert named({"metadata": {"uid": ONE}}) == {ONE}
    assert named(avatar) == {TWO, FACE, OTHER}
    assert named({**avatar, "spec": {"source": {"url": "https://x"}}, "status": {}}) == {TWO}


class FakeKube:
    """Lists some sessions and avatars, and may break off.

    Args:
        uids: of sessions.
        breaks: at the end of every list.
        avatars: all there are when they are listed.
        drawn: the bundle that every session's attempt draws.
        before: is run before the lists.
    """

    def __init__(
        self,
        *uids: str,
        breaks: bool = False,
        avatars: Sequence[dict[str, Any]] = (),
        drawn: str = "",
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.avatars = list(avatars)
        self._uids, self._breaks, self._drawn, self._before = uids, breaks, drawn, before

    async def list(self, path: str, query: object) -> AsyncIterator[dict[str, Any]]:
        if self._before is not None:
            await self._before()
        status = {"avatar": self._drawn}
        sessions = [
            {"metadata": {"uid": uid}, "spec": {"text": "Hi."}, "status": status} for uid in self._uids
        ]
        for item in {SESSIONS: sessions, AVATARS: self.avatars}[path]:
            yield item
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


def avatar(bundle: str, *, by_spec: bool = False) -> dict[str, Any]:
    """An Avatar that was given a bundle, or for which one was prepared."""
    if by_spec:
        return {"metadata": {"uid": THREE}, "spec": {"source": {"bundle": bundle}}}
    return {
        "metadata": {"uid": THREE},
        "spec": {"source": {"url": "https://x"}},
        "status": {"bundle": bundle},
    }


async def with_bundles(path: Path, *bundles: str) -> ObjectStore:
    """A store with bundles that are two hours old."""
    store = ObjectStore(str(path))
    for bundle in bundles:
        for name in (*BUNDLE_FILES, BUNDLE_MANIFEST):
            await store.put(f"{folder_of(bundle)}/{name}", b"1", "application/octet-stream")
    age(path)
    return store


def age(path: Path) -> None:
    """All there is was put two hours ago."""
    then = (datetime.now(UTC) - 2 * HOUR).timestamp()
    for file in path.rglob("*"):
        if file.is_file():
            os.utime(file, (then, then))


def folder_of(bundle: str) -> str:
    return f"_bundles/{bundle.removeprefix('sha256:')}"


async def test_a_bundle_that_nobody_names_is_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = await with_bundles(tmp_path, FACE, OTHER)
    kube = cast("Kube", FakeKube(avatars=[avatar(OTHER)]))
    assert await sweep(store, kube, HOUR, dry_run=True) == [folder_of(FACE)]
    assert len(await keys(store)) == 6
    assert await sweep(store, kube, HOUR) == [folder_of(FACE)]
    assert {key.rsplit("/", 1)[0] for key in await keys(store)} == {folder_of(OTHER)}
    assert f"deleted {folder_of(FACE)}/{BUNDLE_MANIFEST} (1 bytes)" in [r.message for r in caplog.records]


async def test_a_young_bundle_and_what_is_none_stay(tmp_path: Path) -> None:
    store = await with_bundles(tmp_path, FACE, OTHER)
    await store.put(f"{folder_of(FACE)}/{BUNDLE_FILES[0]}", b"2", "application/octet-stream")
    for odd in ("_bundles/x/manifest.json", f"_bundles/{'A' * 64}/manifest.json", "_bundles/notes"):
        await store.put(odd, b"1", "text/plain")
        age(tmp_path / odd.split("/")[1])
    assert await sweep(store, cast("Kube", FakeKube()), HOUR) == [folder_of(OTHER)]
    assert len(await keys(store)) == 6


@pytest.mark.parametrize("by_spec", [False, True])
async def test_an_avatar_made_between_both_lists_keeps_its_bundle(tmp_path: Path, by_spec: bool) -> None:
    """The bundle is an old one that nobody named when the store was listed."""
    store = await with_bundles(tmp_path, FACE)

    async def made() -> None:
        kube.avatars = [avatar(FACE, by_spec=by_spec)]

    kube = FakeKube(before=made)
    assert await sweep(store, cast("Kube", kube), HOUR) == []
    assert len(await keys(store)) == 3


async def test_an_avatar_being_prepared_between_both_lists_keeps_its_bundle(tmp_path: Path) -> None:
    """Its status names no bundle yet: the old one's manifest, sent again, is what keeps it."""
    store = await with_bundles(tmp_path, FACE, OTHER)
    preparing = {"metadata": {"uid": THREE}, "spec": {"source": {"url": "https://x"}}, "status": {}}

    async def prepared() -> None:
        await store.put(f"{folder_of(FACE)}/{BUNDLE_MANIFEST}", b"1", "application/octet-stream")

    kube = cast("Kube", FakeKube(avatars=[preparing], before=prepared))
    assert await sweep(store, kube, HOUR) == [folder_of(OTHER)]
    assert {key.rsplit("/", 1)[0] for key in await keys(store)} == {folder_of(FACE)}


async def test_a_session_under_way_keeps_the_bundle_that_its_avatar_had(tmp_path: Path) -> None:
    store = await with_bundles(tmp_path, FACE, OTHER)
    kube = FakeKube(ONE, avatars=[avatar(OTHER)], drawn=FACE)
    assert await sweep(store, cast("Kube", kube), HOUR) == []
    assert await sweep(store, cast("Kube", FakeKube(avatars=[avatar(OTHER)])), HOUR) == [folder_of(FACE)]


async def test_a_list_of_avatars_that_is_not_whole_deletes_nothing(tmp_path: Path) -> None:
    store = await with_bundles(tmp_path, FACE)
    with pytest.raises(KubeError):
        await sweep(store, cast("Kube", FakeKube(breaks=True)), HOUR)
    assert len(await keys(store)) == 3


async def test_the_manifest_goes_first(tmp_path: Path) -> None:
    """A bundle of which something is missing is never there for whoever looks."""
    await with_bundles(tmp_path, FACE)
    gone: list[str] = []

    class Watched(ObjectStore):
        async def delete(self, key: str) -> None:
            gone.append(key.rsplit("/", 1)[1])
            await super().delete(key)

    await sweep(Watched(str(tmp_path)), cast("Kube", FakeKube()), HOUR)
    assert (gone[0], sorted(gone)) == (BUNDLE_MANIFEST, sorted((BUNDLE_MANIFEST, *BUNDLE_FILES)))
