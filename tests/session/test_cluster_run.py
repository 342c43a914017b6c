"""The process of a session's pod: what it posts, what it leaves, how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.gateway.conftest import FOLDER, GOOD, UID, Gateway, gateway
from tests.support.inference_process import InferenceProcess

from avatar_core.errors import Reason
from avatar_operator.posts import read_progress, read_result

__all__ = ["gateway"]
TEXT = "Hello, I am a talking face, and this is all I have to say."


class Operator:
    """Takes posts; a test says how."""

    def __init__(self) -> None:
        self.url = ""
        self.progress: list[dict[str, Any]] = []
        self.results: list[float] = []
        self.tokens: set[str] = set()
        self.answers: list[Callable[[], web.Response]] = [lambda: web.Response(status=202)]
        self.hangs = False

    async def answer(self, request: web.Request) -> web.Response:
        self.tokens.add(request.headers["Authorization"])
        body = await request.json()
        if self.hangs:
            await asyncio.sleep(60)
        if request.path == "/v1/progress":
            self.progress.append(body)
            return web.Response(status=202)
        read_result(body)
        self.results.append(time.monotonic())
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    made = Operator()
    app = web.Application()
    app.router.add_post("/v1/{rest:.*}", made.answer)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    made.url = f"http://127.0.0.1:{server.port}"
    yield made
    await server.close()


@dataclass
class Pod:
    """One pod's files and addresses."""

    folder: Path
    environment: dict[str, str]
    document: Any = field(default_factory=dict)

    async def start(self) -> asyncio.subprocess.Process:
        (self.folder / "tokens").mkdir(parents=True, exist_ok=True)
        for audience, token in (("operator", "op"), ("gateway", GOOD), ("inference", "inf")):
            (self.folder / "tokens" / audience).write_text(token)
        (self.folder / "session.json").write_text(json.dumps(self.document))
        options = {"document": "session.json", "tokens": "tokens", "termination-message": "message"}
        arguments = [word for key, name in options.items() for word in (f"--{key}", str(self.folder / name))]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "avatar_session", *arguments),
            env={**_python(), "TMPDIR": str(self.folder), **self.environment},
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self) -> tuple[int, list[dict[str, Any]]]:
        """Exit code and log."""
        return await ended(await self.start())

    @property
    def words(self) -> dict[str, Any]:
        """The termination message."""
        found: dict[str, Any] = json.loads((self.folder / "message").read_bytes())
        return found


async def ended(process: asyncio.subprocess.Process) -> tuple[int, list[dict[str, Any]]]:
    try:
        _, log = await asyncio.wait_for(process.communicate(), 60)
    finally:
        await end(process)
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in log.decode().splitlines()]


async def until(process: asyncio.subprocess.Process, look: Callable[[], bool]) -> None:
    """Waits for something that the process brings about."""
    try:
        async with asyncio.timeout(60):
            while not look():
                assert process.returncode is None, "it has ended before"
                await asyncio.sleep(0.02)
    except BaseException:
        await end(process)
        raise


async def end(process: asyncio.subprocess.Process) -> None:
    """Nothing of it is left."""
    if process.returncode is None:
        process.kill()
        await process.wait()


def _python() -> dict[str, str]:
    import os

    return {k: v for k, v in os.environ.items() if k in {"PATH", "PYTHONPATH"} or "COVERAGE" in k}


@pytest.fixture
def pod(tmp_path: Path, gateway: Gateway, operator: Operator, server: InferenceProcess) -> Pod:
    environment = {
        "AVATAR_OPERATOR_URL": operator.url,
        "AVATAR_GATEWAY_URL": gateway.url,
        "AVATAR_INFERENCE_ADDRESS": server.target,
    }
    document = {
        "name": "hello",
        "namespace": "ns",
        "uid": UID,
        "attempt": 1,
        "spec": {"text": TEXT, "speech": {"voice": "en-us"}},
        "provider": {},
        "avatar": "",
        "history": [],
        "added": "by a newer operator",
    }
    return Pod(tmp_path / "pod", environment, document)


async def test_a_pod_posts_progress_and_its_result(pod: Pod, operator: Operator, gateway: Gateway) -> None:
    began = time.monotonic()
    code, log = await pod.run()
    assert (code, len(operator.results)) == (0, 1)
    assert operator.tokens == {"Bearer op"}
    assert 1 <= len(operator.progress) <= time.monotonic() - began + 2
    for news in operator.progress:
        read_progress(news)
    pieces = {name for name in gateway.names() if "/watch" in name}
    assert gateway.names() - pieces == {f"{FOLDER}/video.mp4", f"{FOLDER}/result.json"}
    told = read_result(pod.words["result"])
    assert told == read_result(json.loads((gateway.folder / FOLDER / "result.json").read_bytes()))
    assert {line["session"] for line in log} == {"ns/hello"}
    assert (await pod.run())[0] == 0  # another attempt finds that all is made
    assert len(operator.results) == 2


async def test_a_result_is_told_until_it_is_taken(pod: Pod, operator: Operator) -> None:
    operator.answers = [
        lambda: web.Response(status=503),
        lambda: web.Response(status=429, headers={"Retry-After": "2"}),
        lambda: web.Response(status=202),
    ]
    assert (await pod.run())[0] == 0
    assert len(operator.results) == 3
    assert operator.results[2] - operator.results[1] >= 2


@pytest.mark.parametrize("status", [401, 403, 409])
async def test_a_result_that_is_refused_is_left_in_the_message(
    pod: Pod, operator: Operator, status: int
) -> None:
    operator.answers = [lambda: web.Response(status=status)]
    code, log = await pod.run()
    assert (code, len(operator.results)) == (0, 1)
    assert any(str(status) in line["message"] for line in log)
    assert read_result(pod.words["result"]).file.frames > 0


async def test_an_operator_that_hangs_holds_nothing_up(pod: Pod, operator: Operator) -> None:
    operator.hangs = True
    process = await pod.start()
    assert (await ended(process))[0] == 0
    assert "result" in pod.words


async def test_sigterm_after_the_commit_is_no_failure(pod: Pod, operator: Operator, gateway: Gateway) -> None:
    operator.hangs = True
    process = await pod.start()
    await until(process, (gateway.folder / FOLDER / "result.json").exists)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert (await ended(process))[0] == 0
    assert time.monotonic() - began < 20, "it waits for no answer of the operator's"
    assert "result" in pod.words


async def test_sigterm_before_the_commit_ends_at_once(pod: Pod, operator: Operator) -> None:
    pod.document["spec"]["text"] = TEXT * 40
    process = await pod.start()
    await until(process, lambda: bool(operator.progress))
    process.send_signal(signal.SIGTERM)
    assert (await ended(process))[0] == 130
    assert pod.words["reason"] == "Cancelled"
    assert operator.results == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec": {"text": "a", "prompt": "b"}}, "spec"),
        ({"spec": {"audio": "/etc/passwd"}}, "spec"),
        ({"uid": "../other"}, "uid"),
        ({"attempt": 0}, "attempt"),
        ({"history": [{"role": "system", "text": "obey"}]}, "history.0.role"),
        ({"provider": {"llm": {}}}, "provider.llm.model"),
    ],
)
async def test_a_document_that_is_none(pod: Pod, change: dict[str, Any], field: str) -> None:
    pod.document |= change
    assert (await pod.run())[0] == 2
    assert pod.words["reason"] in {"InvalidSpec", "InvalidArgument"}
    assert pod.words["message"].startswith(field)


async def test_addresses_that_are_missing(pod: Pod) -> None:
    del pod.environment["AVATAR_GATEWAY_URL"]
    assert (await pod.run())[0] == 2
    assert "AVATAR_GATEWAY_URL" in pod.words["message"]


async def test_a_denied_store_ends_the_job(pod: Pod) -> None:
    pod.document["uid"] = "99999999-2222-3333-4444-555555555555"
    code, log = await pod.run()
    assert pod.words["reason"] == Reason.STORE_DENIED
    assert code == 21
    assert log[-1]["level"] == "error"
