"""One deadline for the whole, told with stage and percent; and a clean end when cancelled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_provider import Answer, Request, fake_provider
from tests.support.sessions import REPLY, Run, job
from tests.support.sound import babble

from avatar_core.errors import DeadlineError, Reason
from avatar_core.store import ObjectStore, Stored
from avatar_session.speech.espeak import EspeakVoice

LONG = " ".join(f"This is sentence number {number} of a very long text." for number in range(50))


class SlowStore(ObjectStore):
    """A store in which a video takes for ever after its first megabyte."""

    async def put(self, key: str, source: bytes | Path | AsyncIterable[bytes], content_type: str) -> Stored:
        if key.endswith("video.mp4") and not isinstance(source, bytes | Path):
            await anext(aiter(source))
            await asyncio.sleep(60)
        return await super().put(key, source, content_type)


async def slow_llm(_: Request, answer: Answer) -> None:
    await answer.start()
    await answer.delta("x" * 100)  # about 25 of 100 tokens
    await asyncio.sleep(60)


async def slow_tts(_: Request, answer: Answer) -> None:
    await answer.start(200, "audio/pcm")
    await answer.send(babble(0.5, 24_000))
    await asyncio.sleep(60)


async def expired(run: Run, seconds: int = 3, **spec: Any) -> DeadlineError:
    with pytest.raises(DeadlineError) as caught:
        await run(job(timeoutSeconds=seconds, **spec))
    error = caught.value
    assert error.reason is Reason.DEADLINE_EXCEEDED
    assert f"after {seconds} s in stage {error.stage} at {error.percent} %" in error.message
    assert not {"result.json"} & await run.stored()
    assert list((Path(os.environ["PYTEST_TEMPORARY"])).iterdir()) == []
    return error


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_TEMPORARY", str(tmp_path / "temporary"))


async def test_in_the_llm(run: Run) -> None:
    async with fake_provider(slow_llm) as llm:
        error = await expired(run, llm_url=llm.url, prompt="Talk.")
    assert (error.stage, error.percent) == ("llm", 25)


async def test_in_the_speech(run: Run) -> None:
    async with fake_provider(slow_tts) as tts:
        error = await expired(run, tts_url=tts.url, text=REPLY)
    assert error.stage == "speech"
    assert 0 < error.percent < 100


async def test_in_the_render(run: Run) -> None:
    error = await expired(run, text=LONG)
    assert error.stage == "render"
    assert error.percent < 100
    assert {"speech.pcm", "speech.json"} <= await run.stored()  # kept for the next attempt


async def test_in_the_publication(run: Run, tmp_path: Path) -> None:
    run.store = SlowStore(str(tmp_path / "store"))
    error = await expired(run, 5, text="Hi.")
    assert error.stage == "publish"
    assert "video.mp4" not in await run.stored()


async def test_while_the_inference_server_does_not_answer(run: Run) -> None:
    from avatar_inference.client import InferenceClient

    silent = await asyncio.start_server(lambda r, w: asyncio.sleep(60), "127.0.0.1", 0)
    try:
        port = silent.sockets[0].getsockname()[1]
        run.connect = lambda: InferenceClient(f"127.0.0.1:{port}")
        assert (await expired(run, text="Hi.")).stage == "render"
    finally:
        silent.close()


@pytest.mark.parametrize("when", ["speech", "render"])
async def test_a_cancelled_session_leaves_no_task_no_helper_and_no_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    helpers = []
    started = EspeakVoice._start

    async def start(self: EspeakVoice) -> None:
        await started(self)
        helpers.append(self._process)

    monkeypatch.setattr(EspeakVoice, "_start", start)
    before = asyncio.all_tasks()
    working = asyncio.create_task(run(job(text=LONG)))
    while not any(event.stage == when and event.done for event in run.events):
        await asyncio.sleep(0.001)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await asyncio.sleep(0.1)
    assert asyncio.all_tasks() - before == set()
    assert [helper.returncode is not None for helper in helpers if helper] == [True]
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not {"video.mp4", "result.json"} & await run.stored()
