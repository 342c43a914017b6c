"""Which LLM and voice a job gets, and where keys go."""

from __future__ import annotations

from typing import Any

import pytest

from avatar_core.errors import AvatarError, Reason
from avatar_core.resources import ProviderSpec, SessionSpec
from avatar_session.job import SessionJob
from avatar_session.llm import ChatLLM
from avatar_session.providers import make_llm, make_voice
from avatar_session.speech.endpoint import EndpointVoice
from avatar_session.speech.espeak import EspeakVoice


def job(provider: dict[str, Any], **spec: Any) -> SessionJob:
    settings = SessionSpec.model_validate({"prompt": "Hi."} | spec, by_alias=True)
    return SessionJob("n", "default", "uid", settings, ProviderSpec.model_validate(provider, by_alias=True))


def facts(made: object) -> tuple[str | None, str | None, str]:
    """Base URL, key and model."""
    assert isinstance(made, ChatLLM | EndpointVoice)
    endpoint = made._endpoint
    return endpoint.base_url, endpoint.key, endpoint.model


def test_a_reference_names_the_variable_with_the_key() -> None:
    provider = {"llm": {"model": "m", "baseURL": "http://llm/v1", "apiKeySecretRef": {"key": "MY_KEY"}}}
    environment = {"MY_KEY": "mine", "OPENAI_API_KEY": "other", "OPENAI_BASE_URL": "http://other"}
    assert facts(make_llm(job(provider), environment)) == ("http://llm/v1", "mine", "m")


def test_a_missing_key_is_told_by_the_variables_name() -> None:
    provider = {"llm": {"model": "m", "apiKeySecretRef": {"key": "MY_KEY"}}}
    with pytest.raises(AvatarError, match="MY_KEY") as caught:
        make_llm(job(provider), {"OPENAI_API_KEY": "other"})
    assert caught.value.reason is Reason.LLM_UNAUTHORIZED


def test_a_key_from_a_file_that_ends_with_a_line_break_is_the_key() -> None:
    provider = {"llm": {"model": "m", "baseURL": "http://llm/v1", "apiKeySecretRef": {"key": "MY_KEY"}}}
    assert facts(make_llm(job(provider), {"MY_KEY": " b64/Key+=\n"}))[1] == "b64/Key+="


@pytest.mark.parametrize("key", ["first\nsecond", "two words", "schlüssel", "bell\x07bell"])
def test_what_can_be_no_key_is_refused_before_it_is_sent_and_not_told(key: str) -> None:
    provider = {"llm": {"model": "m", "apiKeySecretRef": {"key": "MY_KEY"}}}
    with pytest.raises(AvatarError, match="MY_KEY") as caught:
        make_llm(job(provider), {"MY_KEY": key})
    assert caught.value.reason is Reason.LLM_UNAUTHORIZED
    assert not any(part in str(caught.value) for part in ("first", "second", "two", "schl", "bell"))


def test_without_a_reference_the_default_key_goes_to_the_default_address_only() -> None:
    environment = {"OPENAI_API_KEY": "default", "OPENAI_BASE_URL": "http://gateway/v1"}
    assert facts(make_llm(job({"llm": {"model": "m"}}), environment)) == ("http://gateway/v1", "default", "m")
    elsewhere = {"llm": {"model": "m", "baseURL": "http://elsewhere/v1"}}
    assert facts(make_llm(job(elsewhere), environment)) == ("http://elsewhere/v1", None, "m")


def test_the_session_may_choose_another_model_and_limits() -> None:
    llm = make_llm(job({"llm": {"model": "m"}}, llm={"model": "other", "maxTokens": 7}), {})
    assert (facts(llm)[2], llm.max_tokens) == ("other", 7)
    assert make_llm(job({"llm": {"model": "m"}}), {}).max_tokens == 100
    assert make_llm(job({"llm": {"model": "m"}}, video={"profile": "legacy"}), {}).max_tokens == 150


def test_a_prompt_without_an_llm() -> None:
    with pytest.raises(AvatarError) as caught:
        make_llm(job({}), {"OPENAI_API_KEY": "x"})
    assert (caught.value.reason, caught.value.field) == (Reason.PROVIDER_NOT_FOUND, "spec.providerRef")


def test_voices() -> None:
    assert isinstance(make_voice(job({}), {}), EspeakVoice)
    speech = {
        "speech": {
            "type": "openai",
            "baseURL": "http://tts/v1",
            "voice": "nova",
            "apiKeySecretRef": {"key": "K"},
        }
    }
    voice = make_voice(job(speech), {"K": "secret"})
    assert facts(voice) == ("http://tts/v1", "secret", "gpt-4o-mini-tts")
    assert isinstance(voice, EndpointVoice)
    assert voice._voice == "nova"
    chosen = make_voice(job(speech, speech={"voice": "echo"}), {"K": "secret"})
    assert isinstance(chosen, EndpointVoice)
    assert chosen._voice == "echo"
    with pytest.raises(AvatarError) as caught:
        make_voice(job(speech), {})
    assert caught.value.reason is Reason.SPEECH_UNAUTHORIZED


@pytest.mark.parametrize("bad", ["../x", "", "a/b", "a b", ".hidden", "x" * 300])
def test_a_uid_can_not_leave_its_folder(bad: str) -> None:
    with pytest.raises(AvatarError, match="uid"):
        SessionJob("n", "default", bad, SessionSpec(text="Hi."))
