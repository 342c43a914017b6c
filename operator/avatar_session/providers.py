"""From what a provider says to an LLM and a voice that can be opened."""

from __future__ import annotations

from collections.abc import Mapping

from avatar_core.errors import InvalidInputError, ProviderError, Reason
from avatar_core.resources import SecretKeyReference
from avatar_session.job import SessionJob
from avatar_session.llm import ChatLLM
from avatar_session.speech.endpoint import EndpointVoice
from avatar_session.speech.espeak import EspeakVoice
from avatar_session.speech.voice import Voice

KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"
DEFAULT_VOICE = "alloy"


def make_llm(job: SessionJob, environment: Mapping[str, str]) -> ChatLLM:
    """The LLM of a job with a prompt.

    Raises:
        InvalidInputError: PROVIDER_NOT_FOUND, when there is none.
        ProviderError: LLM_UNAUTHORIZED, when the variable with the key is missing.
    """
    wanted, provider = job.spec.llm, job.provider.llm
    if provider is None:
        message = "a prompt needs an LLM: name a provider with one, or say it yourself with `text`"
        raise InvalidInputError(Reason.PROVIDER_NOT_FOUND, message, field="spec.providerRef")
    return ChatLLM(
        base_url=provider.base_url or environment.get(URL_VARIABLE),
        api_key=_key(
            provider.api_key_secret_ref, provider.base_url, environment, Reason.LLM_UNAUTHORIZED, "the LLM"
        ),
        model=wanted.model or provider.model,
        max_tokens=job.settings.max_tokens,
        temperature=wanted.temperature,
        system_prompt=wanted.system_prompt,
    )


def make_voice(job: SessionJob, environment: Mapping[str, str]) -> Voice:
    """The voice of a job.

    Raises:
        InvalidInputError: a speed it can't speak at.
        ProviderError: SPEECH_UNAUTHORIZED, when the variable with the key is missing.
    """
    wanted, provider = job.spec.speech, job.provider.speech
    voice = wanted.voice or provider.voice
    if provider.type == "espeak":
        return EspeakVoice(voice, wanted.speed)
    return EndpointVoice(
        base_url=provider.base_url or environment.get(URL_VARIABLE),
        api_key=_key(
            provider.api_key_secret_ref, provider.base_url, environment, Reason.SPEECH_UNAUTHORIZED, "the TTS"
        ),
        model=provider.model,
        voice=voice or DEFAULT_VOICE,
        speed=wanted.speed,
    )


def _key(
    reference: SecretKeyReference | None,
    base_url: str | None,
    environment: Mapping[str, str],
    missing: Reason,
    whose: str,
) -> str | None:
    """The key from the environment. Without a reference, a key goes nowhere but to the default address."""
    if reference is None and base_url is not None:
        return None
    variable = KEY_VARIABLE if reference is None else reference.key
    key = environment.get(variable, "").strip()  # files that Secrets are made of end with a line break
    if not key and reference is not None:
        raise ProviderError(missing, f"the key of {whose} is missing: set the variable {variable}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        # Sent, it would be refused with a message that holds it.
        message = f"the key of {whose} in {variable} holds blanks, line breaks or letters that no key has"
        raise ProviderError(missing, message)
    return key or None
