"""How the scripted LLM behaves."""

from __future__ import annotations

import asyncio

from tests.support.fake_provider import Answer, Handler, Request, in_turn
from tests.support.sound import babble

REPLY = "Hello there, my friend. This is the second sentence. And that was all of it."
KEY = "sk-a-key-that-is-nobodys"


async def good_reply(request: Request, answer: Answer) -> None:
    """A reply for whoever has the key."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        await answer.error(401, "Incorrect API key provided: sk-a-wrong-one")
        return
    await answer.reply(REPLY)


def with_speech(*speech: Handler) -> Handler:
    """The good reply, and a voice that answers so, in turn."""
    voice = in_turn(*speech)

    async def handle(request: Request, answer: Answer) -> None:
        await (voice if request.path.endswith("/speech") else good_reply)(request, answer)

    return handle


async def good_speech(_: Request, answer: Answer) -> None:
    """A sentence of 0.6 s."""
    await answer.whole(200, babble(0.6, 24_000), "audio/pcm")


async def half_speech(_: Request, answer: Answer) -> None:
    """The beginning of a sentence, and then silence for ever."""
    await answer.start(200, "audio/pcm")
    await answer.send(babble(0.3, 24_000))
    await asyncio.sleep(600)


async def hung(_: Request, answer: Answer) -> None:
    """Says nothing, for ever."""
    await asyncio.sleep(600)
