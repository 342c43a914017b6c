"""The store against a real S3 server."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
from tests.peers.conftest import S3Server

from avatar_core.errors import Reason, StoreError
from avatar_core.store import ObjectStore

pytestmark = pytest.mark.peers
MEGABYTE = 1024 * 1024


async def megabytes(count: int, *, fail: bool = False) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number]) * MEGABYTE
    if fail:
        raise ConnectionResetError("the source broke off")


async def test_a_streamed_upload_comes_back_whole_with_type_and_checksum(s3: S3Server) -> None:
    import obstore

    store = ObjectStore("s3://videos/some/prefix")
    stored = await store.put("default/uid/video.mp4", megabytes(12), "video/mp4")
    content = b"".join([piece async for piece in store.read("default/uid/video.mp4")])
    assert stored.size == len(content) == 12 * MEGABYTE
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert (s3.folder / "videos/some/prefix/default/uid/video.mp4").stat().st_size == stored.size
    found = await obstore.get_async(store._store, "default/uid/video.mp4")
    assert found.attributes["Content-Type"] == "video/mp4"


async def test_nothing_is_visible_before_an_upload_is_complete(s3: S3Server) -> None:
    store = ObjectStore("s3://videos")
    seen: list[object] = []

    async def watched() -> AsyncIterator[bytes]:
        async for piece in megabytes(12):
            yield piece
            seen.append(await store.head("a/b/slow.mp4"))

    await store.put("a/b/slow.mp4", watched(), "video/mp4")
    assert seen == [None] * 12
    assert await store.head("a/b/slow.mp4") is not None


async def test_an_upload_that_breaks_off_leaves_nothing(s3: S3Server) -> None:
    store = ObjectStore("s3://videos")
    with pytest.raises(StoreError):
        await store.put("a/b/broken.mp4", megabytes(7, fail=True), "video/mp4")
    assert await store.head("a/b/broken.mp4") is None
    assert [entry.key async for entry in store.list("a/b/broken")] == []


async def test_get_list_and_delete(s3: S3Server) -> None:
    store = ObjectStore("s3://videos/listed")
    await store.put("one/a.json", b"{}", "application/json")
    await store.put("one/b.json", b"[]", "application/json")
    await store.put("two/c.json", b"1", "application/json")
    assert sorted([entry.key async for entry in store.list("one")]) == ["one/a.json", "one/b.json"]
    assert await store.get("one/b.json") == b"[]"
    assert await store.get("one/none.json") is None
    await store.delete("one/a.json")
    await store.delete("one/a.json")
    assert sorted([entry.key async for entry in store.list()]) == ["one/b.json", "two/c.json"]


async def test_a_wrong_secret_is_denied_without_telling_it(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-secret")
    with pytest.raises(StoreError) as caught:
        await ObjectStore("s3://videos").put("x", b"1", "text/plain")
    assert caught.value.reason is Reason.STORE_DENIED
    assert "wrong-and-secret" not in str(caught.value)


async def test_an_unknown_bucket_is_denied_by_name(s3: S3Server) -> None:
    with pytest.raises(StoreError, match="s3://nowhere/x") as caught:
        await ObjectStore("s3://nowhere").put("x", b"1", "text/plain")
    assert caught.value.reason is Reason.STORE_DENIED


@pytest.mark.parametrize("s3", ["read_only_s3_server"], indirect=True)
async def test_a_read_only_store_is_denied(s3: S3Server) -> None:
    with pytest.raises(StoreError) as caught:
        await ObjectStore("s3://videos").put("x", b"1", "text/plain")
    assert caught.value.reason is Reason.STORE_DENIED


async def test_parts_of_an_object(s3: S3Server) -> None:
    store = ObjectStore("s3://videos/parts")
    await store.put("a/b/video.mp4", megabytes(7), "video/mp4")
    entry = await store.head("a/b/video.mp4")
    assert entry is not None
    assert entry.etag
    start, end = 2 * MEGABYTE - 3, 5 * MEGABYTE + 4
    found = b"".join([piece async for piece in store.read_part(entry, start, end)])
    whole = b"".join([piece async for piece in megabytes(7)])
    assert found == whole[start:end]
    await store.put("a/b/video.mp4", b"another one", "video/mp4")
    with pytest.raises(StoreError):
        await anext(store.read_part(entry, 0, 5))
    changed = await store.head("a/b/video.mp4")
    assert changed is not None
    assert changed.etag != entry.etag
