"""Whole sessions through a real inference server and the real espeak-ng."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.support.fake_provider import Answer, Request, fake_provider
from tests.support.media_files import sound_file, tone
from tests.support.sessions import FOLDER, REPLY, Run, job
from tests.support.sound import babble

from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_core.media.mp4 import probe
from avatar_session.receipt import Receipt


async def test_a_text_becomes_a_published_video_with_a_true_receipt(run: Run, tmp_path: Path) -> None:
    receipt = await run(job(text="Hello **there**! See https://example.com/a. 🙂", videoTTLSeconds=60))
    path = tmp_path / "store" / receipt.video.key
    facts = probe(path)
    assert receipt.video.key == f"{FOLDER}/video.mp4"
    assert (facts.video_codec, facts.audio_codec, facts.fps) == ("h264", "aac", 15)
    assert (facts.frames, facts.width, facts.height) == (
        receipt.video.frames,
        receipt.video.width,
        receipt.video.height,
    )
    assert float(facts.duration) == pytest.approx(receipt.video.seconds, abs=0.001)
    assert receipt.video.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert receipt.video.bytes == path.stat().st_size
    assert receipt.video.expires_at == receipt.finished_at + timedelta(seconds=60)
    assert receipt.usage.characters == len("Hello there!") + len("See example.com.")
    assert receipt.engine == "preview"
    assert receipt.render_id in facts.metadata["comment"]
    assert set(receipt.timings) == {"speech", "render", "publish"}
    assert 0 < receipt.first_frame_seconds <= receipt.total_seconds
    assert await run.stored() == {"video.mp4", "result.json"}
    assert Receipt.from_json((path.parent / "result.json").read_bytes()) == receipt
    assert b"moov" in path.read_bytes()[:64_000]  # the index stands in front
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_the_watcher_is_offered_the_video_while_it_is_made(run: Run) -> None:
    await run(job(text=REPLY))
    assert [piece.sequence for piece in run.video] == list(range(len(run.video)))
    assert [piece.kind for piece in run.video[:2]] == ["init", "fragment"]
    assert run.video[0].data[4:8] == b"ftyp"


async def test_events_tell_every_stage_and_never_go_back(run: Run) -> None:
    await run(job(text=REPLY))
    assert {event.stage for event in run.events} == {"speech", "render", "publish"}
    for stage in ("speech", "render", "publish"):
        told = [event for event in run.events if event.stage == stage]
        assert [event.percent for event in told] == sorted(event.percent for event in told)
        assert (told[-1].percent, told[-1].finished, told[-1].done) == (100, True, told[-1].total)
    assert {event.unit for event in run.events} == {"seconds", "frames", "bytes"}


async def test_stages_overlap_the_face_is_drawn_while_the_reply_is_written(run: Run) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        await answer.delta("This is the first sentence of my answer. And here ")
        async with asyncio.timeout(20):
            while not any(piece.kind == "fragment" for piece in run.video):
                await asyncio.sleep(0.01)
        await answer.delta("comes the second one.", finish="stop")
        await answer.end()

    async with fake_provider(handle) as llm:
        receipt = await run(job(llm.url, prompt="Talk."))
    assert receipt.reply == "This is the first sentence of my answer. And here comes the second one."
    assert receipt.first_frame_seconds < receipt.timings["llm"].end
    assert run.first("render") < run.first("llm", finished=True)


async def test_a_prompt_is_answered_with_history_and_counted(run: Run) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.reply(REPLY)

    async with fake_provider(handle) as llm:
        receipt = await run(job(llm.url, prompt="Talk.", llm={"systemPrompt": "Be kind.", "maxTokens": 77}))
    asked = llm.requests[0].body
    assert (asked["max_tokens"], asked["model"]) == (77, "fake")
    assert receipt.reply == REPLY
    assert receipt.usage.completion_tokens == len(REPLY) // 4
    assert receipt.usage.tokens_estimated
    assert set(receipt.timings) == {"llm", "speech", "render", "publish"}


async def test_a_reply_cut_by_the_limit_ends_at_its_last_whole_sentence(run: Run) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.reply(
            "One whole sentence. Another whole sentence. And one that is cut in the mid", "length"
        )

    async with fake_provider(handle) as llm:
        receipt = await run(job(llm.url, prompt="Talk."))
    assert receipt.reply == "One whole sentence. Another whole sentence."
    assert receipt.reply_cut
    assert receipt.usage.characters == len("One whole sentence.") + len("Another whole sentence.")


async def test_another_voice_another_rate(run: Run, tmp_path: Path) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.whole(200, babble(1.0, 24_000), "audio/pcm")

    async with fake_provider(handle) as tts:
        receipt = await run(job(tts_url=tts.url, text="One sentence. Two sentences."))
    assert [request.body["input"] for request in tts.requests] == ["One sentence.", "Two sentences."]
    assert probe(tmp_path / "store" / receipt.video.key).sample_rate == 24_000
    assert receipt.usage.speech_seconds == 2.0  # each ends in an eighth of a second of quiet already


@pytest.mark.parametrize("as_uri", [True, False])
async def test_a_sound_file_takes_the_place_of_reply_and_voice(
    run: Run, tmp_path: Path, as_uri: bool
) -> None:
    path = tmp_path / "a sound.wav"
    path.write_bytes(sound_file("wav", "pcm_s16le", tone(16_000, 2.0), 16_000))
    receipt = await run(job(audio=path.as_uri() if as_uri else str(path)))
    assert set(receipt.timings) == {"render", "publish"}
    assert receipt.usage.speech_seconds == 2.0
    assert receipt.reply == ""
    assert await run.stored() == {"video.mp4", "result.json"}


async def test_the_same_session_is_made_once(run: Run) -> None:
    first = await run(job(text="Once."))
    events = len(run.events)

    def refuse() -> None:
        raise AssertionError("nothing must be drawn again")

    run.connect = refuse  # type: ignore[assignment]
    assert await run(job(text="Once.")) == first
    assert len(run.events) == events


@pytest.mark.parametrize(
    ("spec", "reason", "field"),
    [
        ({"text": "🙂 ---"}, Reason.INVALID_SPEC, "spec.text"),
        ({"text": "Hi.", "speech": {"voice": "klingonish"}}, Reason.VOICE_NOT_FOUND, "spec.speech.voice"),
        ({"text": "你好", "speech": {"voice": "fr"}}, Reason.TEXT_UNREADABLE, "spec.speech.voice"),
        ({"text": "Hi.", "speech": {"speed": 0.3}}, Reason.INVALID_SPEC, "spec.speech.speed"),
        ({"prompt": "Hi."}, Reason.PROVIDER_NOT_FOUND, "spec.providerRef"),
        ({"audio": "http://example.com/a.wav"}, Reason.INVALID_SPEC, "spec.audio"),
        ({"audio": "/nowhere/a.wav"}, Reason.INVALID_SPEC, "spec.audio"),
    ],
)
async def test_bad_input_is_refused_by_name_and_leaves_nothing(
    run: Run, spec: dict[str, object], reason: Reason, field: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await run(job(**spec))
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert await run.stored() == set()


def two_hours(path: Path) -> None:
    """A WAV file of two hours of silence that takes no room on the disk."""
    head = sound_file("wav", "pcm_s16le", tone(8_000, 0.1), 8_000)
    start, size = head.index(b"data") + 8, 2 * 3600 * 8_000 * 2
    with path.open("wb") as file:
        file.write(head[: start - 4] + size.to_bytes(4, "little"))
        file.truncate(start + size)


def not_finite(path: Path) -> None:
    path.write_bytes(sound_file("wav", "pcm_f32le", np.full(16_000, np.inf, np.float32), 16_000))


def noise(path: Path) -> None:
    path.write_bytes(b"no sound at all" * 100)


@pytest.mark.parametrize(
    ("write", "reason"),
    [(noise, Reason.INVALID_AUDIO), (not_finite, Reason.INVALID_AUDIO), (two_hours, Reason.AUDIO_TOO_LONG)],
)
async def test_files_that_can_not_be_spoken_are_refused_by_name(
    run: Run, tmp_path: Path, write: Callable[[Path], None], reason: Reason
) -> None:
    write(tmp_path / "a.wav")
    with pytest.raises(InvalidInputError) as caught:
        await run(job(audio=str(tmp_path / "a.wav")))
    assert (caught.value.reason, caught.value.field) == (reason, "spec.audio")
    assert await run.stored() == set()


async def test_an_unknown_avatar_is_the_servers_answer(run: Run) -> None:
    from dataclasses import replace

    with pytest.raises(AvatarError) as caught:
        await run(replace(job(text="Hi."), avatar="nobody"))
    assert caught.value.reason is Reason.AVATAR_NOT_FOUND
    assert "video.mp4" not in await run.stored()
