"""The chat client against a scripted server: everything a stream can do wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.fake_provider import Answer, FakeProvider, Handler, Request, fake_provider, in_turn

from avatar_core.errors import ProviderError, Reason
from avatar_session.llm import ChatLLM, Ending, Turn
from avatar_session.provider_errors import Endpoint, retry_after

KEY = "sk-secret-key-1234567890"


async def written(provider: FakeProvider, **options: Any) -> tuple[str, Ending]:
    """The whole reply and how it ended."""
    history = options.pop("history", ())
    settings: dict[str, Any] = {"base_url": provider.url, "api_key": KEY, "model": "fake", "max_tokens": 50}
    async with ChatLLM(**(settings | options)) as llm:
        pieces = [piece async for piece in llm.write("Say something.", history)]
    assert isinstance(pieces[-1], Ending)
    assert all(isinstance(piece, str) and piece for piece in pieces[:-1])
    return "".join(map(str, pieces[:-1])), pieces[-1]


async def failure(handler: Handler, **options: Any) -> ProviderError:
    """How a reply failed; no key may ever be told."""
    async with fake_provider(handler) as provider:
        with pytest.raises(ProviderError) as caught:
            await written(provider, **options)
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert KEY not in shown
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


async def test_a_reply_comes_in_pieces_and_tells_what_was_asked() -> None:
    async def handle(request: Request, answer: Answer) -> None:
        await answer.reply("Hällo 你好. Fine.", step=3)

    async with fake_provider(handle) as provider:
        text, ending = await written(
            provider,
            history=[Turn("user", "Hi"), Turn("assistant", "Hello")],
            system_prompt="Be brief.",
            temperature=0.5,
        )
    asked = provider.requests[0]
    assert text == "Hällo 你好. Fine."
    assert ending == Ending(cut=False, prompt_tokens=8, completion_tokens=5, estimated=True)
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert [m["role"] for m in asked.body["messages"]] == ["system", "user", "assistant", "user"]
    assert asked.body["messages"][-1]["content"] == "Say something."
    assert (asked.body["max_tokens"], asked.body["temperature"], asked.body["stream"]) == (50, 0.5, True)


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("usage", ["with the last word", "after it", "never"])
async def test_streams_with_and_without_done_and_usage(done: bool, usage: str) -> None:
    counted = {"usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}}

    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        await answer.delta("One two.")
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
        await answer.event(last | (counted if usage == "with the last word" else {}))
        if usage == "after it":
            await answer.event({"choices": []} | counted)
        if done:
            await answer.send(b"data: [DONE]\n\n")
        await answer.end()

    async with fake_provider(handle) as provider:
        text, ending = await written(provider)
    assert text == "One two."
    assert ending.cut
    assert ending.estimated == (usage == "never")
    assert usage == "never" or (ending.prompt_tokens, ending.completion_tokens) == (12, 3)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.LLM_BAD_REQUEST),
        (401, Reason.LLM_UNAUTHORIZED),
        (403, Reason.LLM_UNAUTHORIZED),
        (404, Reason.LLM_NOT_FOUND),
        (413, Reason.LLM_BAD_REQUEST),
        (422, Reason.LLM_BAD_REQUEST),
        (408, Reason.LLM_UNAVAILABLE),
        (429, Reason.LLM_RATE_LIMITED),
        (500, Reason.LLM_UNAVAILABLE),
        (503, Reason.LLM_UNAVAILABLE),
    ],
)
async def test_status_codes_are_typed_and_tell_whom_they_came_from(status: int, reason: Reason) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.error(status, f"about your key {KEY}", Retry_After="7")

    error = await failure(handle)
    assert error.reason is reason
    assert "the LLM 'fake' at 127.0.0.1:" in error.message
    assert str(status) in error.message
    assert error.retry_after == 7


async def test_the_client_itself_never_tries_again() -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.error(500)

    async with fake_provider(handle) as provider:
        with pytest.raises(ProviderError):
            await written(provider)
    assert len(provider.requests) == 1


async def test_a_stream_cut_after_some_words_was_interrupted() -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        await answer.delta("Once upon a ti")
        answer.cut()

    error = await failure(handle)
    assert error.reason is Reason.LLM_INTERRUPTED
    assert error.info.retry


async def test_a_stream_that_just_ends_without_a_reason_was_interrupted() -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        await answer.delta("Once upon a ti")
        await answer.end()

    assert (await failure(handle)).reason is Reason.LLM_INTERRUPTED


async def test_a_connection_that_breaks_after_the_last_word_has_broken_nothing() -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        await answer.delta("Done.", finish="stop")
        await asyncio.sleep(0.05)
        answer.cut()

    async with fake_provider(handle) as provider:
        assert (await written(provider))[0] == "Done."


async def test_a_connection_cut_before_the_first_word_is_unavailable() -> None:
    async def handle(_: Request, answer: Answer) -> None:
        answer.cut()

    assert (await failure(handle)).reason is Reason.LLM_UNAVAILABLE


async def test_a_stream_closed_without_a_word_is_unavailable() -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        await answer.end()

    assert (await failure(handle)).reason is Reason.LLM_UNAVAILABLE


@pytest.mark.parametrize("after_words", [True, False])
async def test_an_error_within_the_stream(after_words: bool) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        if after_words:
            await answer.delta("Once upon")
        await answer.send(b'data: {"error": {"message": "overloaded", "code": 503}}\n\n')
        await answer.end()

    expected = Reason.LLM_INTERRUPTED if after_words else Reason.LLM_UNAVAILABLE
    assert (await failure(handle)).reason is expected


async def test_an_unreadable_stream_is_unavailable() -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        await answer.send(b"data: {not json\n\n")
        await answer.end()

    assert (await failure(handle)).reason is Reason.LLM_UNAVAILABLE


@pytest.mark.parametrize("how", ["delta", "filter"])
async def test_refusals(how: str) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        await answer.delta("I")
        if how == "delta":
            await answer.delta(refusal="I can't help with that.")
        else:
            await answer.delta(finish="content_filter")
        await answer.end()

    error = await failure(handle)
    assert error.reason is Reason.LLM_REFUSED
    assert not error.info.retry


@pytest.mark.parametrize(("text", "finish"), [("", "stop"), (" \n", "stop"), ("", "length")])
async def test_empty_replies(text: str, finish: str) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.reply(text, finish)

    error = await failure(handle)
    assert error.reason is Reason.LLM_EMPTY_REPLY
    assert ("maxTokens" in error.message) == (finish == "length")


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json"])
async def test_a_web_page_is_no_llm(kind: str) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.whole(200, b"<html>Welcome</html>", kind)

    error = await failure(handle)
    assert error.reason is Reason.LLM_NOT_FOUND
    assert "base URL" in error.message


@pytest.mark.parametrize("after_words", [True, False])
async def test_a_server_that_falls_silent(after_words: bool) -> None:
    async def handle(_: Request, answer: Answer) -> None:
        await answer.start()
        if after_words:
            await answer.delta("Well")
        await asyncio.sleep(30)

    error = await failure(handle, silence_seconds=0.3)
    assert error.reason is (Reason.LLM_INTERRUPTED if after_words else Reason.LLM_UNAVAILABLE)
    assert "in time" in error.message


async def test_nobody_listening_is_unavailable() -> None:
    async with fake_provider(in_turn()) as provider:
        pass
    with pytest.raises(ProviderError) as caught:
        await written(provider)
    assert caught.value.reason is Reason.LLM_UNAVAILABLE
    assert "can't be reached" in caught.value.message


async def test_parameters_a_server_does_not_know_are_left_out() -> None:
    async def picky(request: Request, answer: Answer) -> None:
        if "max_tokens" in request.body:
            await answer.error(
                400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            )
        elif "stream_options" in request.body:
            await answer.error(422, "stream_options: extra fields not permitted")
        else:
            await answer.reply("Fine.")

    async with fake_provider(picky) as provider:
        assert (await written(provider))[0] == "Fine."
    last = provider.requests[-1].body
    assert last["max_completion_tokens"] == 50
    assert len(provider.requests) == 3


def test_keys_are_kept_out_of_every_message() -> None:
    endpoint = Endpoint("LLM", "http://user:password@host:1/v1", "m", "very-secret")
    message = str(
        endpoint.failure("BAD_REQUEST", "got very-secret and sk-proj-abcdef123456 and Bearer abcdefgh")
    )
    for secret in ("very-secret", "abcdef123456", "abcdefgh", "password"):
        assert secret not in message
    assert "very-secret" not in repr(endpoint)


@pytest.mark.parametrize("key", ["b64/Key+==\n", 'quo"te\\d', "tab\tbed"])
def test_a_key_is_kept_out_however_it_is_spelled(key: str) -> None:
    endpoint = Endpoint("LLM", "http://host:1/v1", "m", key)
    header = f"Bearer {key}".encode()
    for told in (key, key.strip(), repr(key), json.dumps(key), f"Illegal header value {header!r}"):
        message = str(endpoint.failure("BAD_REQUEST", told))
        assert not any(part in message for part in ("Key", "quo", "bed")), message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=10.0) == seconds


def test_messages_are_json_safe() -> None:
    assert json.dumps(str(Endpoint("SPEECH", None, "tts", None)))
