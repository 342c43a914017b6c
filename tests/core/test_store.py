"""The store on real file systems, also full and read-only ones, and how its failures are told."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.errors import InvalidInputError, Reason, StoreError
from avatar_core.store import SMALL_OBJECT_BYTES, ObjectStore
from avatar_core.store_errors import typed_store_error

CLOUD_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_SKIP_SIGNATURE",
    "AWS_ENDPOINT_URL",
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: a thread of the store's library may still be closing its last file.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def blocks(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number]) * 1024 * 1024


@pytest.fixture(params=["path", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    urls = {"path": str(tmp_path / "a b"), "file": (tmp_path / "a b").as_uri(), "memory": "memory://"}
    return ObjectStore(urls[request.param])


async def test_what_is_put_comes_back(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"from a file")
    await store.put("ns/uid/one", b"bytes", "text/plain")
    await store.put("ns/uid/two", source, "text/plain")
    stored = await store.put("ns/uid/three", blocks(7), "video/mp4")
    assert await store.get("ns/uid/one") == b"bytes"
    assert await store.get("ns/uid/two") == b"from a file"
    content = b"".join([piece async for piece in store.read("ns/uid/three")])
    assert (stored.size, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    head = await store.head("ns/uid/three")
    assert head is not None
    assert (head.key, head.size) == ("ns/uid/three", 7 * 1024 * 1024)
    assert head.modified.tzinfo is not None
    assert sorted([entry.key async for entry in store.list("ns")]) == [
        "ns/uid/one",
        "ns/uid/three",
        "ns/uid/two",
    ]
    assert [entry.key async for entry in store.list("other")] == []


async def test_what_is_not_there(store: ObjectStore) -> None:
    assert await store.get("none") is None
    assert await store.head("none") is None
    await store.delete("none")
    with pytest.raises(StoreError, match="none"):
        [piece async for piece in store.read("none")]


async def test_a_later_put_replaces_and_delete_removes(store: ObjectStore) -> None:
    await store.put("a/x", b"one", "text/plain")
    await store.put("a/x", b"two", "text/plain")
    assert await store.get("a/x") == b"two"
    await store.delete("a/x")
    assert await store.get("a/x") is None


async def test_large_objects_are_read_in_pieces_only(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path))
    await store.put("big", blocks(SMALL_OBJECT_BYTES // 1024**2 + 1), "video/mp4")
    with pytest.raises(StoreError, match="in pieces"):
        await store.get("big")


async def test_nothing_is_visible_before_a_file_is_complete(tmp_path: Path) -> None:
    store, seen = ObjectStore(str(tmp_path)), []

    async def watched() -> AsyncIterator[bytes]:
        async for block in blocks(7):
            yield block
            seen.append((tmp_path / "a/video.mp4").exists())

    await store.put("a/video.mp4", watched(), "video/mp4")
    assert seen == [False] * 7
    assert (tmp_path / "a/video.mp4").exists()


async def test_a_source_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for block in blocks(7):
            yield block
        raise StoreError(Reason.STORE_UNAVAILABLE, "the source broke off")

    with pytest.raises(StoreError, match="broke off"):
        await ObjectStore(str(tmp_path)).put("a/video.mp4", broken(), "video/mp4")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("megabytes", [4, 20])
async def test_a_full_disk_is_told_and_leaves_nothing(small_disk: Path, megabytes: int) -> None:
    store = ObjectStore(str(small_disk))
    for source in (blocks(megabytes), bytes(megabytes * 1024**2)):
        with pytest.raises(StoreError) as caught:
            await store.put("a/video.mp4", source, "video/mp4")
        assert caught.value.reason is Reason.STORE_FULL
        assert "make room" in caught.value.message
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []


async def test_a_read_only_disk_is_told(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError) as caught:
        await ObjectStore(str(small_disk)).put("a/x", b"1", "text/plain")
    assert caught.value.reason is Reason.STORE_DENIED
    with pytest.raises(StoreError) as caught:
        ObjectStore(str(small_disk / "new"))
    assert caught.value.reason is Reason.STORE_DENIED


async def test_a_link_out_of_the_store_is_not_followed_to_delete(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "video.mp4").write_bytes(b"mine")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/linked").symlink_to(outside)
    with pytest.raises(StoreError, match="outside"):
        await ObjectStore(str(tmp_path / "store")).delete("linked/video.mp4")
    assert (outside / "video.mp4").exists()


@pytest.mark.parametrize("key", ["../x", "a/../../x", "a//b"])
async def test_keys_can_not_climb_out(tmp_path: Path, key: str) -> None:
    with pytest.raises(InvalidInputError):
        await ObjectStore(str(tmp_path / "store")).put(key, b"1", "text/plain")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("url", ["s3://bucket", "gs://bucket", "az://account/container"])
def test_without_credentials_no_cloud_is_asked_for_any(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLOUD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match="no credentials") as caught:
        ObjectStore(url)
    assert caught.value.reason is Reason.STORE_DENIED


def test_half_of_the_credentials_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLOUD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "false")
    with pytest.raises(StoreError, match="AWS_SECRET_ACCESS_KEY"):
        ObjectStore("s3://bucket")


def test_plain_http_must_be_allowed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("AWS_ALLOW_HTTP", raising=False)
    with pytest.raises(StoreError, match="AWS_ALLOW_HTTP=true"):
        ObjectStore("s3://bucket")


async def test_a_server_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with pytest.raises(StoreError) as caught:
        await ObjectStore("s3://bucket").put("x", b"1", "text/plain")
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert caught.value.info.retry


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="ftp"):
        ObjectStore("ftp://host/folder")


@given(
    st.sampled_from([errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO]), st.text(max_size=30)
)
def test_the_number_of_an_error_decides_what_it_is(number: int, where: str) -> None:
    full, denied = {errno.ENOSPC, errno.EDQUOT}, {errno.EACCES, errno.EROFS}
    for error in (OSError(number, "text"), RuntimeError(f"Generic error: text (os error {number})")):
        reason = typed_store_error(error, "write", where).reason
        expected = Reason.STORE_FULL if number in full else Reason.STORE_DENIED
        assert reason is (expected if number in full | denied else Reason.STORE_UNAVAILABLE)


def test_no_secret_of_a_url_is_told() -> None:
    error = RuntimeError("PUT https://user:hunter2@host/x?X-Amz-Signature=abc&sig=def failed")
    message = str(typed_store_error(error, "write", "https://user:hunter2@host/x?sig=def"))
    assert "hunter2" not in message
    assert "abc" not in message
    assert "def" not in message


ENDLESS = """
import asyncio, sys
from avatar_core.store import ObjectStore

async def pieces():
    while True:
        yield bytes(1 << 20)
        print("more", flush=True)
        await asyncio.sleep(0.05)

asyncio.run(ObjectStore(sys.argv[1]).put("ns/uid/video.mp4", pieces(), "video/mp4"))
"""


async def test_what_a_killed_upload_leaves_is_listed_and_can_be_deleted(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDLESS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as upload:
        assert upload.stdout is not None
        for _ in range(12):  # more than the library keeps in memory
            upload.stdout.readline()
        upload.kill()
    store = ObjectStore(str(tmp_path))
    [left] = [entry async for entry in store.list("ns/uid/")]
    assert left.key.startswith("ns/uid/video.mp4#")
    assert left.size > 0
    assert await store.head("ns/uid/video.mp4") is None
    await store.delete(left.key)
    assert [entry async for entry in store.list()] == []
    assert list(tmp_path.rglob("*.mp4*")) == []
