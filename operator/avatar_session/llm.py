"""Streams a reply from any OpenAI-compatible chat endpoint."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from avatar_core.errors import ProviderError
from avatar_session.openai_client import SILENCE_SECONDS, open_client
from avatar_session.provider_errors import Endpoint

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

BYTES_PER_TOKEN = 4
"""About, in UTF-8."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of an earlier conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How a reply ended.

    Attributes:
        cut: the token limit ended it.
        prompt_tokens, completion_tokens: as the server counted them, or `BYTES_PER_TOKEN`.
        estimated: the server told no numbers.
    """

    cut: bool
    prompt_tokens: int
    completion_tokens: int
    estimated: bool


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has: four bytes of UTF-8 each."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


class ChatLLM:
    """One model behind one endpoint; to be used as an asynchronous context manager.

    Args:
        base_url: such as "http://127.0.0.1:8080/v1"; None is api.openai.com.
        api_key: secret, or None for a server that wants none.
        model: name of the model.
        max_tokens: limit of the reply.
        temperature: 0 to 2, or None for the server's own.
        system_prompt: what the model is told before everything else.
        silence_seconds: how long the server may stay silent.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        api_key: str | None,
        model: str,
        max_tokens: int,
        temperature: float | None = None,
        system_prompt: str | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self.max_tokens = max_tokens
        self._endpoint = Endpoint("LLM", base_url, model, api_key)
        self._temperature, self._system_prompt = temperature, system_prompt
        self._silence_seconds = silence_seconds
        self._client: AsyncOpenAI | None = None

    async def __aenter__(self) -> Self:
        self._client = await open_client(self._endpoint, self._silence_seconds)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._client:
            await self._client.close()

    async def write(self, prompt: str, history: Sequence[Turn] = ()) -> AsyncGenerator[str | Ending, None]:
        """Yields the reply's text as it comes, then one `Ending`.

        Raises:
            ProviderError: LLM_UNAUTHORIZED, LLM_NOT_FOUND, LLM_BAD_REQUEST, LLM_RATE_LIMITED, LLM_UNAVAILABLE
                (server error, silence, no connection), LLM_REFUSED, LLM_EMPTY_REPLY; LLM_INTERRUPTED when the
                stream ended after some text without saying why.
        """
        messages = self._messages(prompt, history)
        reply = _Reply()
        try:
            stream = await self._open(messages)
            async with stream:
                self._check_type(stream)
                async for chunk in stream:
                    if text := reply.take(chunk, self._endpoint):
                        yield text
        except ProviderError:
            raise
        except Exception as error:
            if not reply.finish:  # a connection that breaks after the last word has broken nothing
                raise self._broken(error, reply) from None
        yield reply.ending(messages, self._endpoint)

    def _messages(self, prompt: str, history: Sequence[Turn]) -> list[Any]:
        system = [{"role": "system", "content": self._system_prompt}] if self._system_prompt else []
        earlier = [{"role": turn.role, "content": turn.text} for turn in history]
        return [*system, *earlier, {"role": "user", "content": prompt}]

    async def _open(self, messages: list[Any]) -> AsyncStream[ChatCompletionChunk]:
        """Starts the stream, without the parameters a server says it does not know."""
        from openai import APIStatusError

        options: dict[str, Any] = {"max_tokens": self.max_tokens, "stream_options": {"include_usage": True}}
        if self._temperature is not None:
            options["temperature"] = self._temperature
        assert self._client
        while True:
            try:
                stream: AsyncStream[ChatCompletionChunk] = await self._client.chat.completions.create(
                    model=self._endpoint.model, messages=messages, stream=True, **options
                )
                return stream
            except APIStatusError as error:
                if error.status_code not in {400, 422} or not _without_unknown(options, str(error.body)):
                    raise

    def _check_type(self, stream: AsyncStream[ChatCompletionChunk]) -> None:
        kind = stream.response.headers.get("content-type", "")
        if kind.startswith(("text/html", "application/json")):
            raise self._endpoint.failure(
                "NOT_FOUND", f"answered {kind} instead of a stream: check the base URL"
            )

    def _broken(self, error: Exception, reply: _Reply) -> ProviderError:
        typed = self._endpoint.explain(error)
        if not reply.text:
            return typed
        return self._endpoint.failure("INTERRUPTED", f"broke off after {len(reply.text)} characters: {typed}")


def _without_unknown(options: dict[str, Any], answer: str) -> bool:
    """Drops or renames an option that the server's answer names as unsupported; False when there is none."""
    if "max_completion_tokens" in answer and "max_tokens" in options:
        options["max_completion_tokens"] = options.pop("max_tokens")
        return True
    return "stream_options" in answer and options.pop("stream_options", None) is not None


class _Reply:
    """What came so far."""

    def __init__(self) -> None:
        self.text = ""
        self.finish: str | None = None
        self._usage: tuple[int, int] | None = None

    def take(self, chunk: ChatCompletionChunk, endpoint: Endpoint) -> str:
        """The text of one chunk. Some servers send usage with the last word, some after it, some never."""
        if chunk.usage:
            self._usage = (chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0)
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        if choice.delta and choice.delta.refusal:
            raise endpoint.failure("REFUSED", f"refused to answer: {choice.delta.refusal[:200]}")
        if choice.finish_reason == "content_filter":
            raise endpoint.failure("REFUSED", "stopped at its content filter")
        self.finish = choice.finish_reason or self.finish
        text = (choice.delta.content if choice.delta else None) or ""
        self.text += text
        return text

    def ending(self, messages: list[Any], endpoint: Endpoint) -> Ending:
        """How it ended. Raises ProviderError when it did not end well."""
        if not self.finish and self.text:
            raise endpoint.failure("INTERRUPTED", f"broke off after {len(self.text)} characters")
        if not self.finish:
            raise endpoint.failure("UNAVAILABLE", "closed the stream without a word")
        if not self.text.strip():
            thinking = "; all tokens went into thinking, raise maxTokens" if self.finish == "length" else ""
            raise endpoint.failure("EMPTY_REPLY", f"gave an empty reply{thinking}")
        asked = estimated_tokens("".join(message["content"] for message in messages))
        prompt, completion = self._usage or (asked, estimated_tokens(self.text))
        return Ending(self.finish == "length", prompt, completion, self._usage is None)
