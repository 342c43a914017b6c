"""Whole sessions between real peers: a LiteLLM proxy, espeak-ng, the inference server and an S3 server."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import replace
from typing import Any

import pytest
from tests.peers.conftest import LONG_REPLY, REPLY, S3Server
from tests.support.sessions import FOLDER, Run

from avatar_core.errors import AvatarError, DeadlineError, Reason
from avatar_core.media.mp4 import probe
from avatar_core.resources import ProviderSpec, SessionSpec
from avatar_core.store import ObjectStore
from avatar_inference.client import InferenceClient
from avatar_session.job import SessionJob
from avatar_session.receipt import Receipt

pytestmark = [pytest.mark.peers, pytest.mark.slow]
KEY = "sk-test-master-key"


@pytest.fixture
def cloud(run: Run, s3: S3Server, request: pytest.FixtureRequest) -> Run:
    """Runs sessions whose store is a prefix of the S3 bucket, with the LLM's key in the environment."""
    run.store = ObjectStore(f"s3://videos/{re.sub('[^a-z0-9]+', '-', request.node.name)}")
    run.environment = {"LLM_KEY": KEY}
    return run


def job(llm_url: str, model: str, **spec: Any) -> SessionJob:
    llm = {"baseURL": llm_url, "model": model, "apiKeySecretRef": {"key": "LLM_KEY"}}
    settings = SessionSpec.model_validate({"prompt": "Talk to me."} | spec, by_alias=True)
    return SessionJob(
        "hello", "default", "uid-1", settings, ProviderSpec.model_validate({"llm": llm}, by_alias=True)
    )


async def test_a_prompt_becomes_a_video_in_the_bucket(cloud: Run, llm_url: str, s3: S3Server) -> None:
    import obstore

    receipt = await cloud(job(llm_url, "mock"))
    assert receipt.reply == REPLY
    assert not receipt.usage.tokens_estimated
    assert receipt.usage.completion_tokens > 10
    path = s3.folder / cloud.store.url.removeprefix("s3://") / receipt.video.key
    assert hashlib.sha256(path.read_bytes()).hexdigest() == receipt.video.sha256
    assert probe(path).frames == receipt.video.frames
    assert set(receipt.timings) == {"llm", "speech", "render", "publish"}
    assert await cloud.stored() == {"video.mp4", "result.json"}
    for name, kind in (("video.mp4", "video/mp4"), ("result.json", "application/json")):
        head = await obstore.get_async(cloud.store._store, f"{FOLDER}/{name}")
        assert head.attributes["Content-Type"] == kind
    assert Receipt.from_json(await cloud.store.get(f"{FOLDER}/result.json") or b"") == receipt


async def test_the_second_attempt_takes_reply_and_speech_from_the_bucket(cloud: Run, llm_url: str) -> None:
    working = cloud.connect
    cloud.connect = lambda: InferenceClient("127.0.0.1:1")
    with pytest.raises(AvatarError) as caught:
        await cloud(job(llm_url, "mock"))
    assert caught.value.reason is Reason.INFERENCE_UNAVAILABLE
    assert await cloud.stored() == {"reply.json", "speech.pcm", "speech.json"}
    cloud.connect = working
    nobody = "http://127.0.0.1:1/v1"
    assert (await cloud(job(nobody, "mock"))).reply == REPLY


@pytest.mark.parametrize(
    ("model", "reason", "tries"),
    [
        ("limited", Reason.LLM_RATE_LIMITED, 3),
        ("broken", Reason.LLM_UNAVAILABLE, 3),
        ("unknown", Reason.LLM_BAD_REQUEST, 0),
    ],
)
async def test_failures_of_the_llm(cloud: Run, llm_url: str, model: str, reason: Reason, tries: int) -> None:
    with pytest.raises(AvatarError) as caught:
        await cloud(job(llm_url, model))
    assert caught.value.reason is reason
    assert KEY not in str(caught.value)
    assert sum("trying again" in event.note for event in cloud.events if event.stage == "llm") == tries
    assert await cloud.stored() == set()


async def test_a_wrong_key_is_final_and_not_told(cloud: Run, llm_url: str) -> None:
    cloud.environment["LLM_KEY"] = "sk-wrong-key-abcdefgh"
    with pytest.raises(AvatarError) as caught:
        await cloud(job(llm_url, "mock"))
    assert caught.value.reason in {Reason.LLM_UNAUTHORIZED, Reason.LLM_BAD_REQUEST}
    assert "abcdefgh" not in str(caught.value)


async def test_an_llm_that_thinks_too_long(cloud: Run, llm_url: str) -> None:
    with pytest.raises(DeadlineError) as caught:
        await cloud(job(llm_url, "slow", timeoutSeconds=3))
    assert (caught.value.stage, caught.value.percent) == ("llm", 0)
    assert len(cloud.events) >= 3  # the silence was broken meanwhile


async def test_eight_sessions_at_once(cloud: Run, llm_url: str) -> None:
    jobs = [replace(job(llm_url, "long"), uid=f"uid-{number}") for number in range(8)]
    receipts = await asyncio.gather(*map(cloud, jobs))
    assert {receipt.reply for receipt in receipts} == {LONG_REPLY}
    assert len({receipt.video.key for receipt in receipts}) == 8
    frames = [receipt.video.frames for receipt in receipts]
    assert max(frames) - min(frames) <= 2  # espeak-ng itself differs by some samples
