"""From flags and manifests to sessions: flags win, and every mistake is named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from avatar_cli.request import name_after, output_of, requests
from avatar_core.errors import InvalidInputError, Reason
from avatar_core.resources import settle

EXAMPLES = Path(__file__).parents[2] / "examples"
NO_KEY: dict[str, str] = {}


def example(name: str) -> str:
    return (EXAMPLES / name).read_text()


def refusal(*args: Any, **kwargs: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        requests(*args, environment=NO_KEY, **kwargs)
    return caught.value


def test_flags_alone_make_a_session() -> None:
    flags = {"text": "Hi", "fps": "30000/1001", "voice": "fr", "height": 256, "timeout": 30, "model": None}
    (request,) = requests(None, "-", flags, name="april", environment=NO_KEY)
    spec = request.session.spec
    assert (spec.text, spec.speech.voice, spec.video.height, spec.timeout_seconds) == ("Hi", "fr", 256, 30)
    assert settle(spec).fps == Fraction(30000, 1001)
    assert str(output_of(request.session)) == "out/april.mp4"
    assert request.provider.llm is None


def test_flags_win_over_the_manifest_and_leave_the_rest() -> None:
    (request,) = requests(example("quality.yaml"), "quality.yaml", {"fps": "24"}, environment=NO_KEY)
    assert settle(request.session.spec).fps == 24
    assert request.session.spec.video.profile == "quality"
    assert request.session.spec.speech.speed == 0.9


def test_all_sessions_of_a_file_take_the_flags() -> None:
    both = requests(example("several.yaml"), "several.yaml", {"profile": "fast"}, environment=NO_KEY)
    assert [request.session.metadata.name for request in both] == ["first", "second"]
    assert {settle(request.session.spec).fps for request in both} == {Fraction(12)}


def test_a_session_finds_its_provider_by_name_and_the_default_one_without() -> None:
    (named,) = requests(example("prompt.yaml"), "prompt.yaml", {}, environment=NO_KEY)
    assert named.provider.llm is not None
    assert named.provider.llm.base_url == "http://127.0.0.1:11434/v1"
    (default,) = requests(example("provider.yaml"), "provider.yaml", {"prompt": "Hi"}, environment=NO_KEY)
    assert default.provider.speech.type == "openai"


def test_an_llm_given_by_flags_takes_the_place_of_the_providers_and_leaves_its_voice() -> None:
    flags = {"prompt": "Hi", "model": "tiny"}
    (request,) = requests(
        example("provider.yaml"), "provider.yaml", flags, llm_url="http://127.0.0.1:1/v1", environment=NO_KEY
    )
    assert request.provider.llm is not None
    assert (request.provider.llm.base_url, request.provider.llm.model) == ("http://127.0.0.1:1/v1", "tiny")
    assert request.provider.llm.api_key_secret_ref is None
    assert request.provider.speech.voice == "alloy"


def test_the_key_is_referred_to_and_never_copied() -> None:
    environment = {"OPENAI_API_KEY": "sk-very-secret"}
    (request,) = requests(None, "-", {"prompt": "Hi", "model": "m"}, environment=environment)
    assert request.provider.llm is not None
    assert request.provider.llm.api_key_secret_ref is not None
    assert request.provider.llm.api_key_secret_ref.key == "OPENAI_API_KEY"
    assert "sk-very-secret" not in repr(request)


@pytest.mark.parametrize(
    ("flags", "field", "words"),
    [
        ({}, "spec", "--text, --prompt or --audio"),
        ({"text": "a", "audio": "b.wav"}, "spec", "--text and --audio"),
        ({"text": "a", "fps": "11"}, "spec.video.fps", "12 to 30"),
        ({"text": "a", "fps": "nan"}, "spec.video.fps", "12 to 30"),
        ({"text": "a", "batch_size": 5}, "spec.video.batchSize", "1 to 4"),
        ({"text": "a", "height": 333}, "spec.video.height", "even"),
        ({"text": "   "}, "spec.text", "blank"),
        ({"text": "a", "profile": "qualty"}, "spec.video.profile", "did you mean 'quality'?"),
    ],
)
def test_wrong_flags_name_field_and_range(flags: dict[str, Any], field: str, words: str) -> None:
    error = refusal(None, "-", flags)
    assert error.field == field
    assert words in error.message


def test_what_does_not_fit_together_is_refused() -> None:
    assert "leave out --text" in refusal(example("hello.yaml"), "hello.yaml", {"text": "a"}).message
    assert "needs --model" in refusal(None, "-", {"prompt": "a"}, llm_url="http://x").message
    assert refusal(None, "-", {"prompt": "a", "model": "m"}, llm_url="ftp://x").field == "spec.llm.baseURL"
    twice = refusal(example("hello.yaml") + "---\n" + example("hello.yaml"), "two.yaml", {})
    assert (twice.field, "'hello'" in twice.message) == ("metadata.name", True)


def test_an_unknown_provider_comes_with_the_nearest_known_one() -> None:
    error = refusal(
        example("prompt.yaml").replace("name: local-llm\n  llm", "name: locl-llm\n  llm"), "p.yaml", {}
    )
    assert error.reason is Reason.PROVIDER_NOT_FOUND
    assert "'local-llm'" in error.message


@pytest.mark.parametrize(
    ("output", "name"),
    [
        (None, "video"),
        ("out/April.mp4", "april"),
        ("My first video!.mp4", "my-first-video"),
        ("é.mp4", "video"),
    ],
)
def test_a_session_is_named_after_its_file(output: str | None, name: str) -> None:
    assert name_after(Path(output) if output else None) == name
