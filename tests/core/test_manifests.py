from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.manifests import read_manifests
from avatar_core.resources import AvatarProvider, AvatarSession, settle

HEAD = "apiVersion: avatars.dev/v1alpha1\nkind: AvatarSession\nmetadata: {name: hello}\nspec: "


def session(spec: str) -> AvatarSession:
    (resource,) = read_manifests(HEAD + spec)
    assert isinstance(resource, AvatarSession)
    return resource


@pytest.mark.parametrize(
    ("profile", "fps", "batch", "tokens"),
    [("fast", 12, 1, 100), ("balanced", 15, 2, 100), ("quality", 18, 2, 100), ("legacy", 25, 4, 150)],
)
def test_profiles_and_defaults(profile: str, fps: int, batch: int, tokens: int) -> None:
    settings = settle(session(f"{{text: hi, video: {{profile: {profile}}}}}").spec)
    assert (settings.fps, settings.batch_size, settings.max_tokens) == (fps, batch, tokens)


def test_explicit_fields_win_over_the_profile() -> None:
    spec = session(
        "{text: hi, llm: {maxTokens: 7}, video: {profile: legacy, fps: 30000/1001, batchSize: 1}}"
    ).spec
    settings = settle(spec)
    assert (settings.fps, settings.batch_size, settings.max_tokens) == (Fraction(30000, 1001), 1, 7)


def test_the_defaults_are_the_ones_documented() -> None:
    spec = session("{text: hi}").spec
    assert (spec.timeout_seconds, spec.video_ttl_seconds) == (120, 3600)
    assert settle(spec).fps == 15


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ("{}", "spec", "exactly one of prompt, text and audio"),
        ("{text: a, prompt: b}", "spec", "answered by an LLM"),
        ("{text: '  '}", "spec.text", "blank"),
        ("{text: hi, video: {fps: 11}}", "spec.video.fps", "12 to 30"),
        ("{text: hi, video: {fps: 31}}", "spec.video.fps", "12 to 30"),
        ("{text: hi, video: {fps: 0}}", "spec.video.fps", "12 to 30"),
        ("{text: hi, video: {fps: .nan}}", "spec.video.fps", "12 to 30"),
        ("{text: hi, video: {batchSize: 0}}", "spec.video.batchSize", "1 to 4"),
        ("{text: hi, video: {batchSize: 5}}", "spec.video.batchSize", "1 to 4"),
        ("{text: hi, video: {fsp: 15}}", "spec.video.fsp", "did you mean 'fps'?"),
        ("{text: hi, video_ttl_seconds: 5}", "spec.video_ttl_seconds", "did you mean 'videoTTLSeconds'?"),
        ("{text: hi, speech: {speed: .inf}}", "spec.speech.speed", "0.25 to 4"),
        ("{text: hi, timeoutSeconds: 0}", "spec.timeoutSeconds", "1 to 86400"),
        ("{text: 7}", "spec.text", "string"),
    ],
)
def test_each_mistake_names_field_and_range(spec: str, field: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        session(spec)
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.field == field
    assert words in caught.value.message


def test_text_is_bounded_in_bytes_not_characters() -> None:
    with pytest.raises(InvalidInputError, match="1 to 8192 bytes of UTF-8"):
        session(f"{{prompt: {'é' * 5000}}}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no document"),
        ("a: [", "not YAML"),
        ("- 1", "must be a mapping"),
        ("apiVersion: v1\nkind: Pod", "use avatars.dev/v1alpha1"),
        ("apiVersion: avatars.dev/v1alpha1\nkind: AvatarSesion", "did you mean 'AvatarSession'?"),
        ("x" * 2_000_000, "larger than"),
        ("[" * 5000, "not YAML"),
    ],
)
def test_what_is_no_manifest_is_told_why(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_manifests(text)
    assert words in str(caught.value)


def test_several_documents_and_kinds_in_one_file() -> None:
    provider = (
        "apiVersion: avatars.dev/v1alpha1\nkind: AvatarProvider\nmetadata: {name: p}\n"
        "spec: {llm: {baseURL: 'http://127.0.0.1:1/v1', model: m, apiKeySecretRef: {key: MY_KEY}}}"
    )
    resources = read_manifests(f"{provider}\n---\n{HEAD}{{text: hi}}\n---\n")
    assert [type(resource) for resource in resources] == [AvatarProvider, AvatarSession]


def test_what_a_server_adds_is_ignored() -> None:
    text = (
        HEAD.replace("{name: hello}", "{name: hello, uid: x, resourceVersion: '7'}")
        + "{text: hi}\nstatus: {a: 1}"
    )
    assert read_manifests(text)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
        max_leaves=8,
    )
)
def test_nothing_parsed_but_odd_escapes_as_another_error(document: object) -> None:
    from avatar_core.manifests import read_resource

    for candidate in (
        document,
        {"apiVersion": "avatars.dev/v1alpha1", "kind": "AvatarSession", "spec": document},
    ):
        with pytest.raises(InvalidInputError):
            read_resource(candidate)
