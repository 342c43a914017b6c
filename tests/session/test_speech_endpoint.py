"""Speech endpoints: every container, every rate, and answers that are no speech at all."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import av
import numpy as np
import pytest
from tests.support.fake_provider import Answer, FakeProvider, Handler, Request, fake_provider
from tests.support.sound import babble

from avatar_core.errors import ProviderError, Reason
from avatar_session.speech.endpoint import EndpointVoice
from avatar_session.speech.voice import audible

KEY = "sk-secret-key-1234567890"


def encoded(pcm: bytes, rate: int, form: str, codec: str, channels: int = 1) -> bytes:
    """The sound in a container."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono" if channels == 1 else "stereo")
        samples = np.frombuffer(pcm, "<i2")
        frame = av.AudioFrame.from_ndarray(
            np.repeat(samples, channels)[None, :], format="s16", layout="mono" if channels == 1 else "stereo"
        )
        frame.sample_rate = rate
        for part in av.AudioResampler(stream.format, stream.layout, rate).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def of_unknown_length(wav: bytes) -> bytes:
    """A WAV file as servers stream it: lengths of 2**32 - 1."""
    at = wav.index(b"data")
    return wav[:4] + b"\xff" * 4 + wav[8 : at + 4] + b"\xff" * 4 + wav[at + 8 :]


async def spoken(provider: FakeProvider, **options: Any) -> tuple[np.ndarray, int, int]:
    """Samples [n, channels], rate and number of pieces of what a voice said."""
    settings: dict[str, Any] = {"base_url": provider.url, "api_key": KEY, "model": "tts", "voice": "ava"}
    async with EndpointVoice(**(settings | options)) as voice:
        pieces = [sound async for sound in audible(voice, "Hello there.")]
    formats = {(sound.rate, sound.channels) for sound in pieces}
    assert len(formats) == 1
    rate, channels = formats.pop()
    return np.frombuffer(b"".join(s.pcm for s in pieces), "<i2").reshape(-1, channels), rate, len(pieces)


async def failure(handler: Handler, **options: Any) -> ProviderError:
    async with fake_provider(handler) as provider:
        with pytest.raises(ProviderError) as caught:
            await spoken(provider, **options)
    assert KEY not in str(caught.value)
    return caught.value


def streamed(body: bytes, kind: str, step: int = 1000) -> Handler:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start(200, kind)
        for at in range(0, len(body), step):
            await answer.send(body[at : at + step])
        await answer.end()

    return handle


PCM_24K = babble(1.5, 24_000)
PCM_16K = babble(1.5, 16_000)
LONG_24K = babble(4, 24_000)
LONG_WAV = of_unknown_length(encoded(LONG_24K, 24_000, "wav", "pcm_s16le"))


@pytest.mark.parametrize(
    ("body", "kind", "rate", "channels"),
    [
        (PCM_24K, "audio/pcm", 24_000, 1),
        (PCM_24K, "application/octet-stream", 24_000, 1),
        (PCM_24K, "", 24_000, 1),
        (PCM_16K, "audio/pcm;rate=16000", 16_000, 1),
        (PCM_16K, "audio/L16; rate=16000; channels=2", 16_000, 2),
        (encoded(PCM_16K, 16_000, "wav", "pcm_s16le"), "audio/wav", 16_000, 1),
        (encoded(PCM_24K, 24_000, "wav", "pcm_s16le"), "audio/pcm", 24_000, 1),
        (of_unknown_length(encoded(PCM_24K, 24_000, "wav", "pcm_s16le")), "audio/wav", 24_000, 1),
        (encoded(PCM_24K, 24_000, "wav", "pcm_f32le"), "audio/wav", 24_000, 1),
        (encoded(PCM_24K, 48_000, "wav", "pcm_s24le", 2), "audio/x-wav", 48_000, 2),
        (encoded(PCM_24K, 24_000, "flac", "flac"), "audio/flac", 24_000, 1),
        (encoded(PCM_24K, 24_000, "mp3", "libmp3lame"), "audio/mpeg", 24_000, 1),
        (encoded(PCM_24K, 24_000, "ogg", "libopus"), "audio/ogg", 48_000, 1),
        (encoded(PCM_24K, 24_000, "adts", "aac"), "audio/aac", 24_000, 1),
    ],
    ids=lambda value: value if isinstance(value, str | int) else "",
)
async def test_any_container_and_rate(body: bytes, kind: str, rate: int, channels: int) -> None:
    async with fake_provider(streamed(body, kind)) as provider:
        samples, found_rate, pieces = await spoken(provider)
    lossless = PCM_24K if len(body) >= len(PCM_24K) else PCM_16K
    frames = len(lossless) // 2 // channels if kind.startswith("audio/L16") else None
    assert (found_rate, samples.shape[1]) == (rate, channels)
    assert pieces > 1
    if frames:
        assert len(samples) == frames
    elif kind not in {"audio/mpeg", "audio/aac", "audio/ogg"}:
        original = np.frombuffer(PCM_16K if rate == 16_000 else PCM_24K, "<i2")
        assert len(samples) == len(original)
        assert np.abs(samples[:, 0].astype(int) - original).max() <= 1
    else:
        assert abs(len(samples) / rate - 1.5) < 0.15
        assert np.abs(samples).max() > 3000


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/wav"])
async def test_the_first_sound_comes_before_the_last_byte(kind: str) -> None:
    gate = asyncio.Event()
    body = LONG_24K if kind == "audio/pcm" else LONG_WAV

    async def handle(_: Request, answer: Answer) -> None:
        await answer.start(200, kind)
        await answer.send(body[:80_000])
        await gate.wait()
        await answer.send(body[80_000:])
        await answer.end()

    async with (
        fake_provider(handle) as provider,
        EndpointVoice(base_url=provider.url, api_key=None, model="tts", voice="ava") as voice,
    ):
        sounds = voice.speak("Hello.")
        async with asyncio.timeout(5):
            first = await anext(sounds)
        gate.set()
        rest = [sound async for sound in sounds]
    assert sum(len(sound.pcm) for sound in [first, *rest]) == len(LONG_24K)


async def test_what_is_asked_for() -> None:
    async with fake_provider(streamed(PCM_24K, "audio/pcm")) as provider:
        await spoken(provider, speed=1.5)
        await spoken(provider)
    first, second = provider.requests
    assert first.path == "/v1/audio/speech"
    assert first.headers["authorization"] == f"Bearer {KEY}"
    wanted = {"model": "tts", "voice": "ava", "input": "Hello there.", "response_format": "pcm"}
    assert first.body == wanted | {"speed": 1.5}
    assert second.body == wanted


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!DOCTYPE html><html>Welcome</html>" * 40, "text/html"),
        (b"<html>Welcome to nginx</html>" * 40, ""),
        (json.dumps({"message": "hello"}).encode() * 40, "application/json"),
        (json.dumps({"message": "hello"}).encode() * 40, "audio/pcm"),
        (b"RIFF but not really a file" * 40, "audio/wav"),
        (b"no sound whatsoever" * 40, "audio/mpeg"),
        (b"", "audio/pcm"),
        (b"", "audio/wav"),
        (PCM_24K, "audio/pcm;rate=96000"),
    ],
)
async def test_answers_that_are_no_sound(body: bytes, kind: str) -> None:
    error = await failure(streamed(body, kind))
    assert error.reason is Reason.SPEECH_INVALID
    assert not error.info.retry


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/wav"])
async def test_nothing_but_silence_is_refused(kind: str) -> None:
    silence = bytes(48_000)
    body = silence if kind == "audio/pcm" else encoded(silence, 24_000, "wav", "pcm_s16le")
    assert (await failure(streamed(body, kind))).reason is Reason.SPEECH_SILENT


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.SPEECH_BAD_REQUEST),
        (401, Reason.SPEECH_UNAUTHORIZED),
        (404, Reason.SPEECH_NOT_FOUND),
        (422, Reason.SPEECH_BAD_REQUEST),
        (429, Reason.SPEECH_RATE_LIMITED),
        (502, Reason.SPEECH_UNAVAILABLE),
    ],
)
async def test_status_codes_are_typed(status: int, reason: Reason) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.error(status, f"no: {KEY}", Retry_After="2")

    error = await failure(handle)
    assert error.reason is reason
    assert error.retry_after == 2
    assert "the TTS 'tts' at 127.0.0.1:" in error.message


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/wav"])
async def test_a_connection_cut_mid_sentence_is_unavailable_not_short_speech(kind: str) -> None:
    body = PCM_24K if kind == "audio/pcm" else of_unknown_length(encoded(PCM_24K, 24_000, "wav", "pcm_s16le"))

    async def handle(_: Request, answer: Answer) -> None:
        await answer.start(200, kind)
        await answer.send(body[:30_000])
        await asyncio.sleep(0.05)
        answer.cut()

    assert (await failure(handle)).reason is Reason.SPEECH_UNAVAILABLE


async def test_a_server_that_falls_silent_is_unavailable() -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start(200, "audio/pcm")
        await answer.send(PCM_24K[:10_000])
        await asyncio.sleep(30)

    assert (await failure(handle, silence_seconds=0.3)).reason is Reason.SPEECH_UNAVAILABLE


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/wav"])
async def test_dropping_a_sentence_half_way_leaves_nothing_running(kind: str) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start(200, kind)
        await answer.send((LONG_24K if kind == "audio/pcm" else LONG_WAV)[:100_000])
        await asyncio.sleep(30)

    async with (
        fake_provider(handle) as provider,
        EndpointVoice(base_url=provider.url, api_key=None, model="tts", voice="ava") as voice,
    ):
        before = asyncio.all_tasks()
        sounds = voice.speak("Hello.")
        await anext(sounds)
        async with asyncio.timeout(5):
            await sounds.aclose()
        await asyncio.sleep(0.1)  # generators left behind are closed by the loop
        assert {task for task in asyncio.all_tasks() - before if "serve" not in repr(task)} == set()
