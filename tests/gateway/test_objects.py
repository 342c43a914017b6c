"""The store through the gateway, as a session's pod uses it: real HTTP, a real folder."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest
from tests.gateway.conftest import FOLDER, GOOD, LIMIT, UPLOADS, Gateway

from avatar_core.errors import Reason, StoreError
from avatar_gateway import uploads

BIG = os.urandom(6 * 1024 * 1024 + 17)


class Again:
    """A body that can be iterated again, and counts how often it was."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.times = pieces, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.times += 1
        for piece in self.pieces:
            yield piece


async def once(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def until(look: Callable[[], bool]) -> None:
    """Waits for what the gateway does in its own time."""
    async with asyncio.timeout(30):
        while not look():
            await asyncio.sleep(0.02)


async def test_every_kind_of_body_comes_back(gateway: Gateway, tmp_path: Path) -> None:
    store = gateway.store()
    (tmp_path / "file").write_bytes(BIG)
    bodies = {
        "reply.json": b"{}",
        "speech.pcm": tmp_path / "file",
        "video.mp4": Again(BIG[:9], BIG[9:]),
        "speech.json": once(BIG),
    }
    for name, body in bodies.items():
        stored = await store.put(f"{FOLDER}/{name}", body, "text/plain")
        whole = b"{}" if name == "reply.json" else BIG
        assert (stored.size, stored.sha256) == (len(whole), sha256(whole).hexdigest())
        assert b"".join([piece async for piece in store.read(stored.key)]) == whole
        assert await store.get(stored.key) == whole
        entry = await store.head(stored.key)
        assert entry is not None
        assert entry.size == len(whole)
        assert abs(entry.modified.timestamp() - (gateway.folder / stored.key).stat().st_mtime) <= 1
    assert gateway.names() == {f"{FOLDER}/{name}" for name in bodies}
    assert len(gateway.kube.asked) == 3  # token, pod and Job, once for all of it


async def test_empty_objects_and_replaced_ones(gateway: Gateway) -> None:
    store = gateway.store()
    await store.put(f"{FOLDER}/reply.json", b"longer", "text/plain")
    await store.put(f"{FOLDER}/reply.json", b"", "text/plain")
    assert await store.get(f"{FOLDER}/reply.json") == b""
    assert [piece async for piece in store.read(f"{FOLDER}/reply.json")] == []


async def test_what_is_not_there(gateway: Gateway) -> None:
    store = gateway.store()
    assert await store.get(f"{FOLDER}/reply.json") is None
    assert await store.head(f"{FOLDER}/reply.json") is None
    await store.delete(f"{FOLDER}/reply.json")
    with pytest.raises(StoreError) as caught:
        await anext(store.read(f"{FOLDER}/reply.json"))
    assert caught.value.reason is Reason.STORE_DENIED
    await store.put(f"{FOLDER}/reply.json", b"1", "text/plain")
    await store.delete(f"{FOLDER}/reply.json")
    assert gateway.names() == set()
    with pytest.raises(StoreError):
        await anext(store.list(FOLDER))


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_that_breaks_off_leaves_nothing(gateway: Gateway, chunked: bool) -> None:
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(BIG)}"
    lines = [f"PUT /v1/store/{FOLDER}/video.mp4 HTTP/1.1", "Host: x", f"Authorization: Bearer {GOOD}", length]
    head = "\r\n".join([*lines, "", ""])
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head.encode() + (b"%x\r\n" % len(BIG) if chunked else b"") + BIG[:-1])
    await writer.drain()
    await until(lambda: any(name.startswith(f"{FOLDER}/video.mp4#") for name in gateway.names()))
    writer.transport.abort()
    store = gateway.store()
    await until(lambda: not gateway.names())
    assert await store.head(f"{FOLDER}/video.mp4") is None
    assert gateway.names() == set()


async def test_a_body_of_which_nothing_comes_is_given_up(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "IDLE_SECONDS", 0.3)
    lines = [
        f"PUT /v1/store/{FOLDER}/reply.json HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {GOOD}",
        "Content-Length: 9",
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write("\r\n".join([*lines, "", "half"]).encode())
    assert b" 503 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert gateway.names() == set()


async def test_only_so_many_uploads_at_once(gateway: Gateway) -> None:
    lines = [f"PUT /v1/store/{FOLDER}/video.mp4 HTTP/1.1", "Host: x", f"Authorization: Bearer {GOOD}"]
    head = "\r\n".join([*lines, "Content-Length: 4", "", "ha"]).encode()
    slow = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(UPLOADS)]
    for _, writer in slow:
        writer.write(head)
    for _ in range(200):
        await asyncio.sleep(0.02)
        if len(gateway.names()) == UPLOADS:
            break
    refused = await ask(gateway, "PUT")
    assert (refused.status_code, refused.json()["reason"]) == (503, "StoreUnavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await ask(gateway, "GET")).status_code == 404  # others are not held up
    for reader, writer in slow:
        writer.write(b"lf")
        assert b" 201 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
    assert (await ask(gateway, "PUT")).status_code == 201


async def test_a_generator_that_fails_leaves_nothing(gateway: Gateway) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield BIG
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await gateway.store().put(f"{FOLDER}/video.mp4", broken(), "video/mp4")
    await until(lambda: not gateway.names())


@pytest.mark.parametrize("announced", [True, False])
async def test_too_large_a_body(gateway: Gateway, announced: bool, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(LIMIT + 1))
    body = tmp_path / "large" if announced else Again(bytes(LIMIT), b"1")
    with pytest.raises(StoreError, match="413") as caught:
        await gateway.store().put(f"{FOLDER}/video.mp4", body, "video/mp4")
    assert caught.value.reason is Reason.STORE_DENIED
    assert gateway.names() == set()


async def ask(
    gateway: Gateway, method: str, path: str = f"{FOLDER}/reply.json", **headers: str
) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        sent = {"Authorization": f"Bearer {GOOD}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await client.request(
            method,
            f"{gateway.url}/v1/store/{path}",
            headers=sent,
            content=b"body" if method == "PUT" else None,
        )


async def test_a_body_is_held_against_its_digest(gateway: Gateway) -> None:
    good, wrong = (f"sha-256=:{b64encode(sha256(body).digest()).decode()}:" for body in (b"body", b"else"))
    answer = await ask(gateway, "PUT", Content_Digest=wrong)
    assert (answer.status_code, answer.json()["reason"]) == (422, "StoreUnavailable")
    assert (await ask(gateway, "PUT", Content_Digest="sha-256=:abc:")).status_code == 422
    assert gateway.names() == set()
    assert (await ask(gateway, "PUT", Content_Digest=f"md5=:x:, {good}")).status_code == 201
    assert gateway.names() == {f"{FOLDER}/reply.json"}


async def test_no_other_method_is_there(gateway: Gateway) -> None:
    assert (await ask(gateway, "POST")).status_code == 405
    assert (await ask(gateway, "PATCH")).status_code == 405


async def test_a_store_that_denies_is_told(gateway: Gateway) -> None:
    gateway.folder.mkdir(exist_ok=True)
    (gateway.folder / "ns").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="403") as caught:
        await gateway.store().put(f"{FOLDER}/reply.json", b"1", "text/plain")
    assert caught.value.reason is Reason.STORE_DENIED
    assert str(gateway.folder) not in str(caught.value)
