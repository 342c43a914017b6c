"""The built-in voice, with the real espeak-ng in its real helper process."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.errors import AvatarError, InvalidInputError, ProviderError, Reason
from avatar_session.speech import espeak
from avatar_session.speech.espeak import EspeakVoice
from avatar_session.speech.languages import DEFAULT_VOICE, find_voice, require_readable, voice_for

KNOWN = {
    tag: tag.upper()
    for tag in ("en", "en-us", "en-gb", "fr", "fr-be", "zh", "cmn", "yue", "pt", "pt-br", "he")
}


async def spoken(voice: EspeakVoice, text: str) -> np.ndarray:
    pieces = [sound async for sound in voice.speak(text)]
    assert {(sound.rate, sound.channels) for sound in pieces} == {(22050, 1)}
    return np.frombuffer(b"".join(sound.pcm for sound in pieces), "<i2")


def seconds(samples: np.ndarray) -> float:
    return len(samples) / 22050


async def test_speaks_sentence_after_sentence_in_one_helper() -> None:
    async with EspeakVoice("en-us") as voice:
        process = voice._process
        first = await spoken(voice, "Hello there, this is a test.")
        second = await spoken(voice, "And a second, rather longer sentence comes after it.")
        assert voice._process is process
    assert 1 < seconds(first) < 4
    assert seconds(second) > seconds(first)
    assert np.abs(first).max() > 3000
    assert process is not None
    assert process.returncode is not None


async def test_speed_shortens_speech_in_proportion() -> None:
    text = "The quick brown fox jumps over the lazy dog."
    async with EspeakVoice("en-us") as normal, EspeakVoice("en-us", speed=2) as fast:
        ratio = seconds(await spoken(normal, text)) / seconds(await spoken(fast, text))
    assert 1.7 < ratio < 2.4


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("en-US", "Hello."),
        ("en_GB", "Hello."),
        ("fr-FR", "Bonjour."),
        ("zh", "你好。"),
        ("zh-Hant-TW", "你好。"),
        ("zh-HK", "你好。"),
        ("pt-BR", "Olá."),
        ("de-AT", "Grüß Gott."),
        ("nb-NO", "Hei."),
        ("es-MX", "Hola."),
        ("ja", "こんにちは。"),
        ("ru-RU", "Привет."),
        ("en-us+f3", "Hello."),
    ],
)
async def test_language_tags_find_a_voice_that_speaks(tag: str, text: str) -> None:
    async with EspeakVoice(tag) as voice:
        assert seconds(await spoken(voice, text)) > 0.2


@pytest.mark.parametrize(
    ("tag", "hint"), [("klingonish", "known"), ("en-us+zz9", "variant"), ("alloy", "voice")]
)
async def test_unknown_voices_are_refused_by_name_before_anything_is_spoken(tag: str, hint: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await EspeakVoice(tag).__aenter__()
    assert caught.value.reason is Reason.VOICE_NOT_FOUND
    assert caught.value.field == "spec.speech.voice"
    assert tag.rsplit("+", maxsplit=1)[-1] in caught.value.message
    assert hint in caught.value.message


@pytest.mark.parametrize(
    ("voice", "text", "named"),
    [
        ("en-us", "東京 is big.", ["Chinese characters", "東京", "cmn"]),
        ("ja", "東京です。", ["Chinese characters", "cmn"]),
        ("fr", "Привет.", ["Cyrillic", "ru"]),
        ("en-us", "שלום", ["Hebrew", "he"]),
        ("en-us", "ສະບາຍດີ", ["Lao", "no voice"]),
    ],
)
async def test_scripts_a_voice_would_spell_are_refused_by_name(
    voice: str, text: str, named: list[str]
) -> None:
    async with EspeakVoice(voice) as open_voice:
        with pytest.raises(InvalidInputError) as caught:
            await spoken(open_voice, text)
        assert caught.value.reason is Reason.TEXT_UNREADABLE
        assert all(word in caught.value.message for word in named)


async def test_without_a_voice_each_sentence_gets_one_that_reads_it() -> None:
    async with EspeakVoice() as voice:
        for text in ("Hello there.", "Привет, друг.", "你好，朋友。", "नमस्ते दोस्त।", "2 π is 6.28."):
            assert seconds(await spoken(voice, text)) > 0.3


async def test_a_helper_that_dies_is_a_passing_failure_and_the_next_sentence_works() -> None:
    async with EspeakVoice("en-us") as voice:
        assert voice._process
        os.kill(voice._process.pid, signal.SIGKILL)
        with pytest.raises(ProviderError) as caught:
            await spoken(voice, "Hello.")
        assert caught.value.reason is Reason.SPEECH_UNAVAILABLE
        assert caught.value.info.retry
        assert seconds(await spoken(voice, "Hello.")) > 0.2


async def test_a_sentence_dropped_half_way_does_not_leak_into_the_next() -> None:
    async with EspeakVoice("en-us") as voice:
        stream = voice.speak("A rather long sentence, of which only the beginning is listened to. " * 4)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert seconds(await spoken(voice, "Yes.")) < 1


async def test_the_helper_sees_no_secrets_and_ends_when_its_parent_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    async with EspeakVoice("en-us") as voice:
        assert voice._process
        assert voice._process.stdin
        environment = Path(f"/proc/{voice._process.pid}/environ").read_bytes()
        assert b"sk-very-secret" not in environment
        voice._process.stdin.close()
        assert await asyncio.wait_for(voice._process.wait(), 5) == 0


async def test_without_espeak_the_command_that_mends_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError('No module named espeakng_loader')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ProviderError, match=r"install avatar-operator\[demo\]") as caught:
        await EspeakVoice("en-us").__aenter__()
    assert caught.value.reason is Reason.MISSING_DEPENDENCY


async def test_a_helper_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with EspeakVoice("en-us") as voice:
        monkeypatch.setattr(espeak, "HELPER_SECONDS", 0.2)
        assert voice._process
        voice._process.send_signal(signal.SIGSTOP)
        with pytest.raises(ProviderError, match=r"silent for 0\.2 s"):
            await spoken(voice, "Hello.")


def test_too_slow_is_refused_with_the_range() -> None:
    with pytest.raises(InvalidInputError, match=r"0\.46 to 4, not 0\.25"):
        EspeakVoice("en", speed=0.25)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("EN_us", "EN-US"),
        ("en-AU", "EN"),
        ("fr-CA", "FR"),
        ("zh-Hans-CN", "ZH"),
        ("zh-hk", "YUE"),
        ("iw", "HE"),
    ],
)
def test_a_tag_means_itself_or_the_nearest_wider_one(asked: str, found: str) -> None:
    assert find_voice(asked, KNOWN) == found


def test_near_misses_are_named() -> None:
    with pytest.raises(InvalidInputError, match="did you mean cmn"):
        find_voice("cmm", KNOWN)


@pytest.mark.parametrize(
    ("text", "voice"),
    [
        ("Bonjour", DEFAULT_VOICE),
        ("Moscow is Москва", "ru"),
        ("東京 means Tokyo", "cmn"),
        ("これは東京", "ja"),
        ("π = 3.14", DEFAULT_VOICE),
        ("مرحبا", "ar"),
        ("안녕", "ko"),
        ("123 🙂", DEFAULT_VOICE),
    ],
)
def test_the_script_chooses_the_voice(text: str, voice: str) -> None:
    assert voice_for(text) == voice


@given(st.text(max_size=40))
def test_any_text_finds_a_voice_and_is_read_or_refused_by_name(text: str) -> None:
    voice = voice_for(text)
    refused: Reason | None = None
    try:
        require_readable(text, voice, voice.partition("-")[0])
    except AvatarError as error:
        refused = error.reason
    assert refused in {None, Reason.TEXT_UNREADABLE}


async def test_a_helper_is_waited_for_when_its_end_is_cancelled_too() -> None:
    """Groups of tasks within each other cancel twice; the loop must not close on a helper that still ends."""
    voice = EspeakVoice()
    await voice.__aenter__()
    process = voice._process
    assert process
    stopping = asyncio.ensure_future(voice._stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait([stopping])
    assert stopping.cancelled()
    assert process.returncode is not None
