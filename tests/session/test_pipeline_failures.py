"""What a session does when an LLM, a TTS, the inference server or the store fails."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest
from tests.support.fake_provider import Answer, Handler, Request, fake_provider, in_turn
from tests.support.inference_process import inference_process
from tests.support.sessions import REPLY, Run, job
from tests.support.sound import babble

from avatar_core.errors import AvatarError, Reason, StoreError
from avatar_core.media.mp4 import probe
from avatar_core.store import ObjectStore, Stored
from avatar_inference.client import InferenceClient, RenderConfig

PUBLISHED = {"video.mp4", "result.json"}


async def good_reply(_: Request, answer: Answer) -> None:
    await answer.reply(REPLY)


async def cut_before_words(_: Request, answer: Answer) -> None:
    answer.cut()


async def cut_mid_stream(_: Request, answer: Answer) -> None:
    await answer.start()
    await answer.delta("This sentence was handed on already. This one is bro")
    await asyncio.sleep(0.2)
    answer.cut()


async def refusal(_: Request, answer: Answer) -> None:
    await answer.start()
    await answer.delta(refusal="I can't help with that.")
    await answer.end()


def status(code: int, **headers: str) -> Handler:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.error(code, "no", **headers)

    return handle


async def good_speech(_: Request, answer: Answer) -> None:
    await answer.whole(200, babble(0.6, 24_000), "audio/pcm")


async def speech_cut_mid_sentence(_: Request, answer: Answer) -> None:
    await answer.start(200, "audio/pcm")
    await answer.send(babble(0.6, 24_000)[:9_000])
    await asyncio.sleep(0.2)
    answer.cut()


async def silence(_: Request, answer: Answer) -> None:
    await answer.whole(200, bytes(24_000), "audio/pcm")


async def web_page(_: Request, answer: Answer) -> None:
    await answer.whole(200, b"<html>Welcome</html>" * 50, "text/html")


@pytest.mark.parametrize(
    ("first", "tries"),
    [(status(429, Retry_After="0"), 2), (status(500), 2), (status(503), 2), (cut_before_words, 2)],
)
async def test_an_llm_that_fails_before_its_first_words_is_asked_again(
    run: Run, first: Handler, tries: int
) -> None:
    async with fake_provider(in_turn(first, good_reply)) as llm:
        receipt = await run(job(llm.url, prompt="Talk."))
    assert receipt.reply == REPLY
    assert len(llm.requests) == tries
    assert any("trying again" in event.note for event in run.events if event.stage == "llm")


async def test_a_reply_cut_mid_stream_is_discarded_and_made_anew(run: Run, tmp_path: Path) -> None:
    async with fake_provider(in_turn(cut_mid_stream, good_reply)) as llm:
        receipt = await run(job(llm.url, prompt="Talk."))
    alone = await Run.at(ObjectStore("memory://"), receipt_target(run))(job(text=REPLY))
    assert len(llm.requests) == 2
    assert receipt.reply == REPLY
    assert receipt.video.frames == pytest.approx(alone.video.frames, abs=1)  # nothing of the lost attempt
    assert probe(tmp_path / "store" / receipt.video.key).frames == receipt.video.frames


def receipt_target(run: Run) -> str:
    """The inference server a run uses."""
    client = run.connect()
    assert isinstance(client, InferenceClient)
    return client.target


@pytest.mark.parametrize(
    ("handler", "reason", "requests"),
    [
        (status(400), Reason.LLM_BAD_REQUEST, 1),
        (status(401), Reason.LLM_UNAUTHORIZED, 1),
        (status(404), Reason.LLM_NOT_FOUND, 1),
        (refusal, Reason.LLM_REFUSED, 1),
        (status(429), Reason.LLM_RATE_LIMITED, 4),
        (status(500), Reason.LLM_UNAVAILABLE, 4),
        (cut_mid_stream, Reason.LLM_INTERRUPTED, 3),
    ],
)
async def test_final_failures_are_typed_at_once_and_passing_ones_after_some_tries(
    run: Run, handler: Handler, reason: Reason, requests: int
) -> None:
    async with fake_provider(handler) as llm:
        with pytest.raises(AvatarError) as caught:
            await run(job(llm.url, prompt="Talk."))
    assert caught.value.reason is reason
    assert len(llm.requests) == requests
    assert await run.stored() == set()


@pytest.mark.parametrize("reply", ["", "```python\nprint(1)\n```", "🙂"])
async def test_a_reply_with_nothing_to_say(run: Run, reply: str) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.reply(reply)

    async with fake_provider(handle) as llm:
        with pytest.raises(AvatarError) as caught:
            await run(job(llm.url, prompt="Talk."))
    assert caught.value.reason is Reason.LLM_EMPTY_REPLY
    assert len(llm.requests) == 1


async def test_a_retry_after_beyond_the_deadline_is_told_at_once(run: Run) -> None:
    async with fake_provider(status(429, Retry_After="600")) as llm:
        with pytest.raises(AvatarError) as caught:
            await run(job(llm.url, prompt="Talk.", timeoutSeconds=30))
    assert caught.value.reason is Reason.LLM_RATE_LIMITED
    assert caught.value.retry_after == 600
    assert len(llm.requests) == 1


@pytest.mark.parametrize("first", [status(429), status(502), cut_before_words])
async def test_a_voice_that_fails_before_its_first_sound_is_asked_again(run: Run, first: Handler) -> None:
    async with fake_provider(in_turn(good_speech, first, good_speech)) as tts:
        receipt = await run(job(tts_url=tts.url, text="One sentence. Two sentences."))
    asked = [request.body["input"] for request in tts.requests]
    assert asked == ["One sentence.", "Two sentences.", "Two sentences."]
    assert receipt.usage.speech_seconds == pytest.approx(1.2, abs=0.25)


async def test_speech_cut_mid_sentence_is_made_anew_from_the_same_reply(run: Run) -> None:
    async with (
        fake_provider(good_reply) as llm,
        fake_provider(in_turn(good_speech, speech_cut_mid_sentence, good_speech)) as tts,
    ):
        receipt = await run(job(llm.url, tts.url, prompt="Talk."))
    assert len(llm.requests) == 1
    assert len(tts.requests) == 2 + 3
    assert receipt.reply == REPLY
    assert receipt.usage.speech_seconds == pytest.approx(1.8, abs=0.4)


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (web_page, Reason.SPEECH_INVALID),
        (silence, Reason.SPEECH_SILENT),
        (status(401), Reason.SPEECH_UNAUTHORIZED),
        (status(400), Reason.SPEECH_BAD_REQUEST),
    ],
)
async def test_a_voice_that_is_none_is_final(run: Run, handler: Handler, reason: Reason) -> None:
    async with fake_provider(handler) as tts:
        with pytest.raises(AvatarError) as caught:
            await run(job(tts_url=tts.url, text="One sentence. Two sentences."))
    assert caught.value.reason is reason
    assert len(tts.requests) == 1
    assert await run.stored() == set()


async def test_a_server_killed_mid_stream_is_replaced_and_the_video_is_whole(
    run: Run, tmp_path: Path
) -> None:
    text = " ".join(f"This is sentence number {number} of a rather long text." for number in range(20))
    target = receipt_target(run)
    with inference_process(tmp_path) as doomed:
        run.connect = targets(chain([doomed.target], repeat(target)))  # type: ignore[assignment]
        working = asyncio.create_task(run(job(text=text)))
        while not any(piece.kind == "fragment" for piece in run.video):
            await asyncio.sleep(0.005)
        doomed.kill()
        receipt = await working
    assert any("trying again" in event.note for event in run.events if event.stage == "render")
    assert [piece.kind for piece in run.video].count("init") == 2  # the watcher saw it begin anew
    facts = probe(tmp_path / "store" / receipt.video.key)
    assert facts.frames == receipt.video.frames
    assert float(facts.duration) >= receipt.usage.speech_seconds


def targets(wanted: Iterator[str]):  # type: ignore[no-untyped-def]
    """Connects to one server after the other."""
    return lambda: InferenceClient(next(wanted))


async def test_without_an_inference_server_it_gives_up_after_some_tries_and_keeps_the_speech(
    run: Run,
) -> None:
    run.connect = lambda: InferenceClient("127.0.0.1:1")
    with pytest.raises(AvatarError) as caught:
        await run(job(text=REPLY))
    assert caught.value.reason is Reason.INFERENCE_UNAVAILABLE
    assert sum("trying again" in event.note for event in run.events) == 5
    assert await run.stored() == {"speech.pcm", "speech.json"}


@pytest.mark.parametrize(
    ("waiting", "told"), [(0, "trying again"), (5, "waiting for the server: position 1")]
)
async def test_a_busy_server_is_waited_for(run: Run, tmp_path: Path, waiting: int, told: str) -> None:
    async def endless() -> object:
        while True:
            yield babble(0.1)
            await asyncio.sleep(0.02)

    with inference_process(tmp_path, renders=1, waiting=waiting) as busy:
        async with InferenceClient(busy.target) as other:
            occupying = other.render(RenderConfig(sample_rate=22050), endless())  # type: ignore[arg-type]
            await anext(occupying)
            run.connect = lambda: InferenceClient(busy.target)
            working = asyncio.create_task(run(job(text="Hello.")))
            while not any(told in event.note for event in run.events):
                await asyncio.sleep(0.01)
            await occupying.aclose()  # type: ignore[attr-defined]
            receipt = await working
    assert receipt.video.frames > 0


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 KiB: enough for speech of a word, not for its video."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("audio", [True, False])
async def test_a_full_store_is_told_and_nothing_is_published(
    run: Run, tiny_disk: Path, tmp_path: Path, audio: bool
) -> None:
    (tmp_path / "a.raw").write_bytes(babble(20.0))
    run.store = ObjectStore(str(tiny_disk))
    text = " ".join(f"This is sentence number {number}." for number in range(12))
    with pytest.raises(AvatarError) as caught:
        await run(job(audio=sound(tmp_path)) if audio else job(text=text))
    assert caught.value.reason is Reason.STORE_FULL
    assert not {"video.mp4", "result.json"} & await run.stored()


def sound(folder: Path) -> str:
    """Twenty seconds in a file."""
    from tests.support.media_files import sound_file, tone

    (folder / "tone.wav").write_bytes(sound_file("wav", "pcm_s16le", tone(16_000, 20.0), 16_000))
    return str(folder / "tone.wav")


async def test_a_full_temporary_folder_is_told(
    run: Run, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tiny_disk))
    with pytest.raises(AvatarError) as caught:
        await run(job(text="This sentence is longer than ninety-six kilobytes of sound. " * 3))
    assert caught.value.reason is Reason.STORE_FULL
    assert list(tiny_disk.iterdir()) == []


class ForgetfulStore(ObjectStore):
    """A store that takes no receipts, or loses half of a video."""

    def __init__(self, url: str, fault: str) -> None:
        super().__init__(url)
        self.fault = fault

    async def put(self, key: str, source: bytes | Path | AsyncIterable[bytes], content_type: str) -> Stored:
        if self.fault == "receipt" and key.endswith("result.json"):
            raise StoreError(Reason.STORE_FULL, "no room for a receipt")
        stored = await super().put(key, source, content_type)
        return replace(stored, size=1) if self.fault == "size" and key.endswith(".mp4") else stored


@pytest.mark.parametrize(
    ("fault", "reason"), [("receipt", Reason.STORE_FULL), ("size", Reason.STORE_UNAVAILABLE)]
)
async def test_a_video_without_a_receipt_does_not_count(
    run: Run, tmp_path: Path, fault: str, reason: Reason
) -> None:
    run.store = ForgetfulStore(str(tmp_path / "store"), fault)
    with pytest.raises(AvatarError) as caught:
        await run(job(text="Hello."))
    assert caught.value.reason is reason
    assert "result.json" not in await run.stored()
    assert fault == "size" or "video.mp4" not in await run.stored()
    run.store = ObjectStore(str(tmp_path / "store"))
    assert (await run(job(text="Hello."))).video.frames > 0


async def test_a_read_only_store_is_told(run: Run, tiny_disk: Path) -> None:
    run.store = ObjectStore(str(tiny_disk))
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(AvatarError) as caught:
        await run(job(text="Hello."))
    assert caught.value.reason is Reason.STORE_DENIED
