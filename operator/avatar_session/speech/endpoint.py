"""Speech from any OpenAI-compatible endpoint, spoken while it arrives."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Self

from avatar_core.errors import InvalidInputError, ProviderError, Reason
from avatar_core.limits import SAMPLE_RATE_MAX, SAMPLE_RATE_MIN
from avatar_session.openai_client import SILENCE_SECONDS, open_client
from avatar_session.provider_errors import Endpoint
from avatar_session.speech.arriving import decode_arriving
from avatar_session.speech.voice import Sound

if TYPE_CHECKING:
    from openai import AsyncOpenAI

PCM_RATE = 24_000
"""What the OpenAI API means by `pcm`: s16le mono at this rate."""
HEAD_BYTES = 16

_MAGIC = re.compile(rb"RIFF|OggS|fLaC|ID3|FORM|caff|\.snd|#!AMR|\x1a\x45\xdf\xa3|.{4}ftyp", re.DOTALL)
_TEXT = re.compile(rb'\s*(?:<!doctype|<html|<\?xml|\{\s*")', re.IGNORECASE)
_RAW_TYPES = ("audio/pcm", "audio/l16", "audio/raw", "audio/x-raw", "application/octet-stream", "binary/")


class EndpointVoice:
    """One voice behind one endpoint.

    Args:
        base_url: such as "http://127.0.0.1:8880/v1"; None is api.openai.com.
        api_key: secret, or None for a server that wants none.
        model: name of the model.
        voice: name of the voice.
        speed: 0.25 to 4, 1 is normal.
        silence_seconds: how long the server may stay silent.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        api_key: str | None,
        model: str,
        voice: str,
        speed: float = 1.0,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._endpoint = Endpoint("SPEECH", base_url, model, api_key)
        self._voice, self._speed = voice, speed
        self._silence_seconds = silence_seconds
        self._client: AsyncOpenAI | None = None

    async def __aenter__(self) -> Self:
        self._client = await open_client(self._endpoint, self._silence_seconds)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._client:
            await self._client.close()

    async def speak(self, sentence: str) -> AsyncGenerator[Sound, None]:
        """Yields the sound of one sentence as it arrives.

        `pcm` is asked for, since its first sample can be spoken at once; what comes instead is taken as it is
        (of a WAV file FFmpeg awaits 64 KiB).

        Raises:
            ProviderError: SPEECH_UNAUTHORIZED, SPEECH_NOT_FOUND, SPEECH_BAD_REQUEST, SPEECH_RATE_LIMITED,
                SPEECH_UNAVAILABLE (server error, silence, cut connection), SPEECH_INVALID (not sound at all).
        """
        from openai import omit

        assert self._client
        request = self._client.audio.speech.with_streaming_response.create(
            model=self._endpoint.model,
            voice=self._voice,
            input=sentence,
            response_format="pcm",
            speed=omit if self._speed == 1 else self._speed,
        )
        try:
            async with request as response:
                kind = response.headers.get("content-type", "")
                async with aclosing(self._sound(kind, response.iter_bytes())) as sounds:
                    async for sound in sounds:
                        yield sound
        except ProviderError:
            raise
        except InvalidInputError as error:
            raise self._endpoint.failure(
                "INVALID", f"sent sound that can't be used: {error.message}"
            ) from None
        except Exception as error:
            raise self._endpoint.explain(error) from None

    async def _sound(self, kind: str, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Sound, None]:
        head = b""
        async for chunk in chunks:
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
        if kind.startswith(("text/", "application/json", "application/xml")) or _TEXT.match(head):
            what = kind.partition(";")[0] or "text"
            raise self._endpoint.failure("INVALID", f"answered {what} instead of sound: check the base URL")
        rest = _chain(head, chunks)
        if _MAGIC.match(head) or (kind and not kind.lower().startswith(_RAW_TYPES)):
            stream = decode_arriving(rest)
        else:
            stream = _raw(rest, _parameter(kind, "rate", PCM_RATE), _parameter(kind, "channels", 1))
        async with aclosing(stream):
            async for sound in stream:
                yield sound


async def _raw(chunks: AsyncIterator[bytes], rate: int, channels: int) -> AsyncGenerator[Sound, None]:
    """Headerless s16le, cut at whole samples."""
    if not SAMPLE_RATE_MIN <= rate <= SAMPLE_RATE_MAX or channels not in {1, 2}:
        allowed = f"1 or 2 at {SAMPLE_RATE_MIN} to {SAMPLE_RATE_MAX} Hz"
        raise InvalidInputError(Reason.INVALID_AUDIO, f"{channels} channels at {rate} Hz, not {allowed}")
    width, rest = 2 * channels, b""
    async for chunk in chunks:
        rest += chunk
        whole = len(rest) // width * width
        if whole:
            yield Sound(rate, channels, rest[:whole])
        rest = rest[whole:]


async def _chain(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    if head:
        yield head
    async for chunk in chunks:
        yield chunk


def _parameter(kind: str, name: str, default: int) -> int:
    """A number in a content type such as "audio/pcm;rate=16000"."""
    found = re.search(rf"\b{name}\s*=\s*\"?(\d{{1,6}})", kind)
    return int(found[1]) if found else default
