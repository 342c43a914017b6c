"""What a second attempt finds of the first: complete reply and complete speech, nothing half done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_provider import Answer, Request, fake_provider
from tests.support.sessions import FOLDER, REPLY, Run, job
from tests.support.sound import babble

from avatar_core.errors import AvatarError, Reason, StoreError
from avatar_core.store import ObjectStore, Stored
from avatar_inference.client import InferenceClient
from avatar_session.kept import Kept
from avatar_session.reply import Reply
from avatar_session.speech.voice import Sound
from avatar_session.spool import Spool


async def good_reply(_: Request, answer: Answer) -> None:
    await answer.reply(REPLY)


async def good_speech(_: Request, answer: Answer) -> None:
    await answer.whole(200, babble(0.6, 24_000), "audio/pcm")


async def no_speech(_: Request, answer: Answer) -> None:
    await answer.error(400)


async def test_reply_and_speech_of_a_failed_attempt_are_used_by_the_next(run: Run) -> None:
    working = run.connect
    async with fake_provider(good_reply) as llm, fake_provider(good_speech) as tts:
        run.connect = lambda: InferenceClient("127.0.0.1:1")
        with pytest.raises(AvatarError):
            await run(job(llm.url, tts.url, prompt="Talk."))
        assert await run.stored() == {"reply.json", "speech.pcm", "speech.json"}
        run.connect = working
        receipt = await run(job(llm.url, tts.url, prompt="Talk."))
    assert (len(llm.requests), len(tts.requests)) == (1, 3)
    assert receipt.reply == REPLY
    assert receipt.usage.completion_tokens == len(REPLY) // 4
    assert receipt.usage.characters == len(REPLY) - 2  # the blanks between three sentences
    assert set(receipt.timings) == {"llm", "speech", "render", "publish"}
    assert await run.stored() == {"video.mp4", "result.json"}


async def test_a_complete_reply_outlives_a_voice_that_failed(run: Run) -> None:
    async with (
        fake_provider(good_reply) as llm,
        fake_provider(no_speech) as broken,
        fake_provider(good_speech) as tts,
    ):
        with pytest.raises(AvatarError):
            await run(job(llm.url, broken.url, prompt="Talk."))
        stored = await run.stored()
        receipt = await run(job(llm.url, tts.url, prompt="Talk."))
    assert "speech.json" not in stored
    assert len(llm.requests) == (1 if "reply.json" in stored else 2)
    assert receipt.reply == REPLY


async def test_a_damaged_keepsake_is_made_anew(run: Run, tmp_path: Path) -> None:
    run_store = run.store
    await run_store.put(f"{FOLDER}/reply.json", b'{"text": 3', "application/json")
    await run_store.put(f"{FOLDER}/speech.json", b'{"rate": 22050}', "application/json")
    await run_store.put(f"{FOLDER}/speech.pcm", b"abc", "application/octet-stream")
    async with fake_provider(good_reply) as llm:
        receipt = await run(job(llm.url, prompt="Talk."))
    assert receipt.reply == REPLY


async def test_a_damaged_receipt_is_no_receipt(run: Run) -> None:
    await run.store.put(f"{FOLDER}/result.json", b"{}", "application/json")
    assert (await run(job(text="Hello."))).video.frames > 0


async def test_kept_speech_comes_back_with_its_sentences_and_only_when_whole(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path / "store"))
    kept, spool = Kept(store, "ns/uid"), Spool(tmp_path / "one")
    for number in range(3):
        spool.write(Sound(16_000, 2, babble(1.0, 16_000, seed=number)))
        spool.end_sentence(f"Sentence {number}.")
    spool.finish()
    assert await kept.find_speech(tmp_path / "none") is None
    await kept.keep_speech(spool)
    found = await kept.find_speech(tmp_path / "two")
    assert found is not None
    assert (found.rate, found.channels, found.sentences) == (16_000, 2, spool.sentences)
    assert found.path.read_bytes() == spool.path.read_bytes()
    assert [piece async for piece in found.read()] == [piece async for piece in spool.read()]

    (tmp_path / "store/ns/uid/speech.pcm").write_bytes(spool.path.read_bytes()[:-4])
    assert await kept.find_speech(tmp_path / "three") is None
    assert not (tmp_path / "three").exists()

    await kept.keep_reply(Reply("Hello.", cut=True, prompt_tokens=1, completion_tokens=2, estimated=True))
    assert await kept.find_reply() == Reply("Hello.", True, 1, 2, True)
    await kept.discard()
    await kept.discard()
    assert [entry async for entry in store.list()] == []


class Faltering(ObjectStore):
    """Can't be written to."""

    reason = Reason.STORE_UNAVAILABLE

    async def put(self, key: str, source: Any, content_type: str) -> Stored:
        raise StoreError(self.reason, "not now")


async def test_a_store_that_is_away_for_a_while_costs_no_session(tmp_path: Path) -> None:
    store = Faltering(str(tmp_path / "store"))
    kept, spool = Kept(store, "ns/uid"), Spool(tmp_path / "one")
    spool.write(Sound(16_000, 1, babble(0.5, 16_000)))
    spool.end_sentence("Hello.")
    spool.finish()
    await kept.keep_reply(Reply("Hello."))
    await kept.keep_speech(spool)
    assert [entry async for entry in store.list()] == []
    store.reason = Reason.STORE_FULL
    with pytest.raises(StoreError):
        await kept.keep_reply(Reply("Hello."))
