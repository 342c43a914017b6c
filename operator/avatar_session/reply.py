"""The first stage: a prompt becomes a reply, handed on sentence by sentence while it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from avatar_session.job import SessionJob
from avatar_session.llm import ChatLLM, Ending, estimated_tokens
from avatar_session.progress import Progress
from avatar_session.retry import Deadline, RetryPolicy, retried
from avatar_session.text.sentences import SentenceSplitter, whole_sentences

SENTENCES_AHEAD = 8
"""How many sentences may wait to be spoken before the LLM is held back."""

SentenceQueue = asyncio.Queue[str | None]
"""Sentences, then None."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply.

    Attributes:
        text: what is to be said, as written; without an unfinished last sentence.
        cut: the token limit ended it.
        prompt_tokens, completion_tokens: used.
        estimated: the server told no numbers.
    """

    text: str
    cut: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False


async def write_reply(
    llm: ChatLLM,
    job: SessionJob,
    out: SentenceQueue,
    progress: Progress,
    deadline: Deadline,
    policy: RetryPolicy,
) -> Reply:
    """Lets the LLM answer the job's prompt; puts sentences into `out`, then None.

    Raises:
        ProviderError: as `ChatLLM.write`.
        AttemptLostError: the reply broke off after its first words.
    """
    assert job.spec.prompt is not None
    progress.begin("llm")
    splitter, text, ending = SentenceSplitter(), "", None
    pieces = retried(
        partial(llm.write, job.spec.prompt, job.history),
        policy,
        deadline,
        lambda error, pause: progress.wait("llm", f"{error}; trying again in {pause:.1f} s"),
    )
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Ending):
                ending = piece
                continue
            text += piece
            progress.update("llm", estimated_tokens(text), expected=llm.max_tokens)
            for sentence in splitter.feed(piece):
                await out.put(sentence)
    assert ending is not None
    for sentence in splitter.end(cut=ending.cut):
        await out.put(sentence)
    await out.put(None)
    progress.update("llm", ending.completion_tokens, total=ending.completion_tokens)
    progress.finish("llm")
    kept = whole_sentences(text, cut=ending.cut)
    return Reply(kept, ending.cut, ending.prompt_tokens, ending.completion_tokens, ending.estimated)


async def drain(queue: SentenceQueue) -> AsyncGenerator[str, None]:
    """Sentences as they come."""
    while (sentence := await queue.get()) is not None:
        yield sentence


async def all_of(sentences: list[str]) -> AsyncGenerator[str, None]:
    """Sentences that are there already."""
    for sentence in sentences:
        yield sentence
