"""espeak-ng as a voice: built in, without a key, in 114 languages; it runs in a helper process."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, Self

from avatar_core.errors import AvatarError, InvalidInputError, ProviderError, Reason
from avatar_session.speech.languages import VOICE_FIELD, find_voice, require_readable, voice_for
from avatar_session.speech.voice import Sound

WORDS_PER_MINUTE = 175
SLOWEST_WORDS_PER_MINUTE = 80
HELPER_SECONDS = 30.0
"""A sentence takes milliseconds; a helper that is silent for so long is stuck."""
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "SYSTEMROOT")
"""Of the environment: no key is any of the helper's business."""


class EspeakVoice:
    """Speaks with espeak-ng.

    Args:
        voice: a language tag ("fr-FR", "zh", "pt_BR"), with a variant if wanted ("en-us+f3"); None chooses
            for every sentence by the script it is written in (see `languages.voice_for`).
        speed: 1 is 175 words a minute; 0.46 to 4.
    """

    def __init__(self, voice: str | None = None, speed: float = 1.0) -> None:
        if not speed * WORDS_PER_MINUTE + 0.5 >= SLOWEST_WORDS_PER_MINUTE:
            message = f"espeak speaks at a speed of 0.46 to 4, not {speed:g}"
            raise InvalidInputError(Reason.INVALID_SPEC, message, field="spec.speech.speed")
        self._asked, self._speed = voice, speed
        self._process: asyncio.subprocess.Process | None = None
        self._rate = 0
        self._voices: dict[str, str] = {}
        self._variants: list[str] = []

    async def __aenter__(self) -> Self:
        await self._start()
        try:
            if self._asked:
                self._resolve(self._asked)  # an unknown voice is told before a reply is paid for
        except AvatarError:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stop()

    async def speak(self, sentence: str) -> AsyncGenerator[Sound, None]:
        """Yields the sound of one sentence: mono, 22050 Hz. A helper that died is started again.

        Raises:
            InvalidInputError: TEXT_UNREADABLE for a script the voice would only spell.
            ProviderError: SPEECH_UNAVAILABLE when the helper broke.
        """
        if self._process is None:
            await self._start()
        tag = self._asked or voice_for(sentence)
        name = self._resolve(tag)
        require_readable(sentence, tag, _language(name))
        words = round(WORDS_PER_MINUTE * self._speed)
        await self._send({"voice": name, "words_per_minute": words, "text": sentence})
        whole = False
        try:
            while (frame := await self._receive())[0] == b"A":
                yield Sound(self._rate, 1, frame[1])
            whole = True
        finally:
            if not whole:  # what is left in the pipe belongs to nobody
                await self._stop()
        if frame[0] == b"E":
            raise _broken(json.loads(frame[1])["message"])

    def _resolve(self, asked: str) -> str:
        """espeak's own name of a voice, such as "gmw/en-US+f3"."""
        tag, plus, variant = asked.partition("+")
        name = find_voice(tag, self._voices)
        if plus and variant not in self._variants:
            near = get_close_matches(variant, self._variants, n=3, cutoff=0.3) or ["f3", "m3", "whisper"]
            message = f"espeak has no variant {variant[:60]!r}; did you mean {', '.join(near)}?"
            raise InvalidInputError(Reason.VOICE_NOT_FOUND, message, field=VOICE_FIELD)
        return name + plus + variant

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "avatar_session.speech.espeak_helper"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        )
        try:
            kind, payload = await self._receive()
        except BaseException:
            await self._stop()
            raise
        told: dict[str, Any] = json.loads(payload)
        if kind != b"H":
            await self._stop()
            message = f"espeak-ng is not usable here: {told['message']}; install avatar-operator[demo]"
            raise ProviderError(Reason.MISSING_DEPENDENCY, message)
        self._rate, self._voices, self._variants = told["rate"], told["voices"], told["variants"]

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()  # it holds nothing worth saving
        # Reads the pipe empty, or the end would never be noticed; when cancelled twice, too.
        ended = asyncio.ensure_future(process.communicate())
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            await ended
            raise

    async def _send(self, request: dict[str, Any]) -> None:
        data = json.dumps(request).encode()
        assert self._process
        assert self._process.stdin
        try:
            self._process.stdin.write(struct.pack(">I", len(data)) + data)
            await self._process.stdin.drain()
        except ConnectionError:
            await self._stop()
            raise _broken("the helper has ended") from None

    async def _receive(self) -> tuple[bytes, bytes]:
        """The next frame: kind and payload."""
        assert self._process
        assert self._process.stdout
        try:
            async with asyncio.timeout(HELPER_SECONDS):
                head = await self._process.stdout.readexactly(5)
                return head[:1], await self._process.stdout.readexactly(struct.unpack(">I", head[1:])[0])
        except TimeoutError:
            raise _broken(f"the helper has been silent for {HELPER_SECONDS:g} s") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self._process.wait()
            raise _broken(f"the helper ended with code {code}") from None


def _broken(message: str) -> ProviderError:
    return ProviderError(Reason.SPEECH_UNAVAILABLE, f"espeak-ng broke: {message}")


def _language(name: str) -> str:
    """First subtag of the language of a voice such as "gmw/en-US+f3"."""
    return name.rsplit("/", 1)[-1].partition("+")[0].partition("-")[0].lower()
