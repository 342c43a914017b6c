"""When the client of the gateway asks again: a scripted server, for what a real gateway seldom does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.gateway.test_objects import Again, once

from avatar_core.errors import Reason, StoreError
from avatar_session import gateway_store
from avatar_session.gateway_store import GatewayStore

Script = Callable[[web.Request], web.Response]


class Scripted:
    """Answers in turn, the last answer for ever; keeps what was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, object]] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(body, status=status or 500)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scripted]:
    monkeypatch.setattr(gateway_store, "_FIRST_PAUSE", 0.01)
    scripted = Scripted()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{rest:.*}", scripted.answer)
    async with TestServer(app) as running:
        scripted.url = f"http://127.0.0.1:{running.port}"
        yield scripted


TAKEN = (201, {"size": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"})


@pytest.mark.parametrize("failure", [(503, {}), (500, "html"), (0, ""), (502, None)])
async def test_what_passes_is_tried_again_with_the_whole_body(
    server: Scripted, failure: tuple[int, object], tmp_path: Path
) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    for source in (b"abc", tmp_path / "abc", Again(b"a", b"bc")):
        server.answers, server.bodies = [failure, failure, TAKEN], []
        stored = await GatewayStore(server.url, str).put("ns/uid/x", source, "text/plain")
        assert stored.size == 3
        assert server.bodies[-1] == b"abc"
        assert len(server.bodies) == 3


async def test_a_body_that_can_not_be_sent_again_is_not(server: Scripted) -> None:
    server.answers = [(503, {}), TAKEN]
    with pytest.raises(StoreError) as caught:
        await GatewayStore(server.url, str).put("ns/uid/x", once(b"abc"), "text/plain")
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert len(server.bodies) == 1


async def test_what_was_damaged_is_sent_again(server: Scripted) -> None:
    server.answers = [(201, {"size": 3, "sha256": "other"}), TAKEN]
    await GatewayStore(server.url, str).put("ns/uid/x", b"abc", "text/plain")
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "Unauthenticated"), (403, "StoreDenied"), (413, "StoreDenied"), (507, "StoreFull")],
)
async def test_what_is_final_is_asked_once(server: Scripted, status: int, reason: str) -> None:
    server.answers = [(status, {"reason": reason, "error": "no"})]
    with pytest.raises(StoreError) as caught:
        await GatewayStore(server.url, str).get("ns/uid/x")
    assert caught.value.reason.value == reason
    assert len(server.bodies) == 1


async def test_nobody_answers() -> None:
    with pytest.raises(StoreError, match="can't be reached") as caught:
        await GatewayStore("http://127.0.0.1:1", lambda: "secret-token", tries=1).get("ns/uid/x")
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert "secret-token" not in str(caught.value)


async def test_tries_are_counted(server: Scripted) -> None:
    server.answers = [(503, {})]
    with pytest.raises(StoreError):
        await GatewayStore(server.url, str, tries=4).head("ns/uid/x")
    assert len(server.bodies) == 4
