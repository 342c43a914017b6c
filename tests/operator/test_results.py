"""Results that no pod could tell of: the store is asked before an attempt is given up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from tests.support.fake_operator import ASKING
from tests.support.pictures import NOW, RESULT, UID, failed, job, running, under_way

from avatar_core.errors import REASONS, Reason, StoreError
from avatar_operator import results
from avatar_operator.cache import Cache
from avatar_operator.decide import reconcile
from avatar_operator.decision import Decision
from avatar_operator.line import Capacity, Line
from avatar_operator.looking import Looker
from avatar_operator.memory import Memory
from avatar_operator.objects import Report
from avatar_operator.observed import Asked, Clean, CleanState, Observed
from avatar_operator.observing import Observer
from avatar_operator.results import Results

RECEIPT = {"uid": "u", "video": {"bytes": 1, "sha256": "ab" * 32, "seconds": 1, "frames": 15}}


def decide(seen: Observed, after: float = 10) -> Decision:
    return reconcile(seen, ASKING, NOW + after)


def out_of_memory() -> Observed:
    return under_way(failed(137, 1, "OOMKilled"), failed(137, 2, "OOMKilled"))


def with_report(seen: Observed, reason: Reason) -> Observed:
    [pod] = seen.pods
    container = replace(pod.container, exit_code=REASONS[reason].exit_code, report=Report(reason, "so"))
    return replace(seen, pods=(replace(pod, container=container),))


@pytest.mark.parametrize(
    "seen",
    [
        out_of_memory(),
        with_report(under_way(failed(41)), Reason.LLM_UNAUTHORIZED),
        under_way(failed(1), the_job=job(finished="Failed", failure="BackoffLimitExceeded")),
        under_way(replace(running(), phase="Succeeded"), the_job=job(finished="Complete")),
    ],
)
def test_an_attempt_is_given_up_only_once_the_store_was_asked(seen: Observed) -> None:
    decision = decide(seen)
    assert (decision.ask_store, decision.wake_at, decision.empty) == (True, NOW + 12, False)
    assert decision.status is None
    found = decide(replace(seen, result=RESULT, asked=Asked())).status
    assert found is not None
    assert found.phase == "Succeeded"
    nothing = decide(replace(seen, asked=Asked()))
    assert not nothing.ask_store
    assert nothing.status is not None


def test_a_store_that_does_not_answer_is_asked_again_but_not_for_ever() -> None:
    seen = replace(out_of_memory(), asked=Asked(silent_since=NOW))
    assert decide(seen, after=29).ask_store
    not_asked = replace(seen, asked=Asked(later=True))  # by a limit of our own, whenever: no failure of it
    assert decide(not_asked, after=1000).ask_store
    assert not decide(replace(seen, asked=Asked(NOW, later=True)), after=30).ask_store
    given_up = decide(seen, after=30).status
    assert given_up is not None
    assert given_up.phase == "Failed"


def test_nobody_asks_for_what_is_not_wanted_or_not_there() -> None:
    seen = out_of_memory()
    cancelled = replace(seen, session=replace(seen.session, spec=replace(seen.session.spec, cancel=True)))
    assert not decide(cancelled).ask_store
    assert not decide(replace(seen, clean=Clean(CleanState.DONE, attempt=1))).ask_store
    ended = decide(replace(seen, asked=Asked())).status
    assert ended is not None
    assert not decide(replace(seen, session=replace(seen.session, status=ended)), after=11).ask_store
    assert not decide(under_way(running())).ask_store


Answer = Callable[[web.Request], Any]


@asynccontextmanager
async def gateway(answer: Answer, tmp_path: Path) -> AsyncIterator[Results]:
    async def handle(request: web.Request) -> web.Response:
        assert request.path == "/v1/store/ns/u/result.json"
        found = answer(request)
        return await found if asyncio.iscoroutine(found) else found

    app = web.Application()
    app.router.add_get("/{tail:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    token = tmp_path / "token"
    token.write_text("secret\n")
    try:
        yield Results(f"http://127.0.0.1:{runner.addresses[0][1]}/", token)
    finally:
        await runner.cleanup()


async def test_a_receipt_is_found_by_the_operators_own_token(tmp_path: Path) -> None:
    tokens = []

    def answer(request: web.Request) -> web.Response:
        tokens.append(request.headers["Authorization"])
        return web.json_response(RECEIPT)

    async with gateway(answer, tmp_path) as found:
        result = await found.find("ns", "u")
    assert result is not None
    assert (result.file.frames, tokens) == (15, ["Bearer secret"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", json.dumps({**RECEIPT, "uid": UID}).encode(), b" " * 600_000]
)
async def test_what_is_no_result_of_the_session_counts_as_none(tmp_path: Path, body: bytes) -> None:
    async with gateway(lambda _: web.Response(body=body), tmp_path) as found:
        assert await found.find("ns", "u") is None


async def test_there_is_none(tmp_path: Path) -> None:
    async with gateway(lambda _: web.Response(status=404), tmp_path) as found:
        assert await found.find("ns", "u") is None


@pytest.mark.parametrize("status", [302, 401, 403, 500, 503])
async def test_a_gateway_that_refuses_says_nothing_of_results(tmp_path: Path, status: int) -> None:
    async with gateway(lambda _: web.Response(status=status), tmp_path) as found:
        with pytest.raises(StoreError, match=str(status)):
            await found.find("ns", "u")


async def test_a_gateway_that_hangs_holds_few_workers_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "ASK_SECONDS", 0.2)
    asked = 0

    async def hang() -> web.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(60)
        raise AssertionError

    async with gateway(lambda _: hang(), tmp_path) as found:
        ends = await asyncio.gather(*(found.find("ns", "u") for _ in range(20)), return_exceptions=True)
        assert all(isinstance(end, StoreError) for end in ends)
        with pytest.raises(StoreError, match="later"):
            await found.find("ns", "u")
    assert asked == results.AT_ONCE


async def test_patience_begins_with_a_failure_of_the_gateway_not_with_a_limit_of_ours(
    tmp_path: Path,
) -> None:
    memory = Memory()
    seen = out_of_memory()
    async with gateway(lambda _: web.Response(status=503), tmp_path) as found:
        observer = Observer(cast("Looker", None), Cache(), memory, Line(Capacity(1, 1)), found)
        with pytest.raises(StoreError):
            await found.find("ns", "u")
        asked = (await observer.ask_store(seen, NOW)).asked
        assert asked == Asked(later=True)
        assert memory.of(seen.session.uid).store_silent_since is None
        found._paused_until = 0
        elsewhere = replace(seen, session=replace(seen.session, namespace="ns", uid="u"))
        assert (await observer.ask_store(elsewhere, NOW + 1)).asked == Asked(NOW + 1)
        assert (await observer.ask_store(elsewhere, NOW + 2)).asked == Asked(NOW + 1, later=True)


async def test_without_a_gateway_or_a_token_nothing_is_known(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with pytest.raises(StoreError):
        await Results("http://127.0.0.1:1", token).find("ns", "u")
    token.write_text("secret")
    with pytest.raises(StoreError):
        await Results("http://127.0.0.1:1", token).find("ns", "u")
