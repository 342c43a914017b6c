"""What is said about a provider, and that a key never goes out in the clear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.errors import Reason
from avatar_operator.conditions import State
from avatar_operator.providers.decide import (
    Decision,
    ProviderObject,
    is_private,
    read_provider,
    reconcile_provider,
)
from avatar_operator.status_json import condition_json

NOW = 1_000_000
KEY = {"name": "openai", "key": "token"}


def provider(generation: int = 1, **spec: Any) -> ProviderObject:
    return read_provider(
        {
            "apiVersion": "avatars.dev/v1alpha1",
            "kind": "AvatarProvider",
            "metadata": {
                "name": "p",
                "namespace": "n",
                "uid": "u",
                "resourceVersion": "7",
                "generation": generation,
            },
            "spec": spec,
        }
    )


def llm(url: str, key: Any = KEY) -> dict[str, Any]:
    return {"model": "m", "baseURL": url, **({"apiKeySecretRef": key} if key else {})}


PRIVATE = [
    "https://api.example/v1",
    "http://vllm/v1",
    "http://vllm.models.svc:8000/v1",
    "http://vllm.models.svc.cluster.local:8000",
    "http://VLLM.models.SVC:8000",
    "http://localhost:8000/v1",
    "http://127.0.0.1:8000",
    "http://[::1]:8000/v1",
]
IN_THE_CLEAR = [
    "http://api.example/v1",
    "http://vllm.models.svc.example.com/v1",
    "http://svc.example/v1",
    "http://10.0.0.7:8000/v1",
    "http://[fd00::7]:8000/v1",
    "http://128.0.0.1/v1",
    "http://134744072/v1",  # 8.8.8.8, as resolvers read it
    "http://0x08080808/v1",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_a_key_stays_private(url: str) -> None:
    assert provider(llm=llm(url)).fault is None


@pytest.mark.parametrize("url", IN_THE_CLEAR)
def test_a_key_in_the_clear_is_refused(url: str) -> None:
    for spec in ({"llm": llm(url)}, {"speech": {"type": "openai", "baseURL": url, "apiKeySecretRef": KEY}}):
        found = provider(**spec)
        assert found.fault is not None
        assert found.fault.reason is Reason.INSECURE_URL
        assert url in found.fault.message
        assert not found.view.ready
    assert provider(llm=llm(url, key=None)).fault is None


@given(st.from_regex(r"[a-z][a-z0-9]{0,7}(\.[a-z0-9]{1,8}){1,3}", fullmatch=True))
def test_only_names_of_the_cluster_are_inside(host: str) -> None:
    inside = host.endswith((".svc", ".cluster.local", ".localhost"))
    assert is_private(f"http://{host}/v1") is inside


def test_what_is_said_is_said_once() -> None:
    fine = provider(llm=llm("https://api.example/v1"))
    first = reconcile_provider(fine, NOW)
    assert first.condition is not None and first.note is not None
    assert (first.condition.truth, first.condition.reason) == ("True", State.ACCEPTED)
    assert (first.note.type, first.note.reason) == ("Normal", "Accepted")
    known = replace(fine, condition=first.condition, observed_generation=1)
    assert reconcile_provider(known, NOW + 5) == reconcile_provider(replace(fine, deleting=True), NOW)


def test_a_changed_spec_is_no_transition_while_it_is_as_good() -> None:
    first = reconcile_provider(provider(llm=llm("https://a.example")), NOW)
    changed = replace(
        provider(2, llm=llm("https://b.example")), condition=first.condition, observed_generation=1
    )
    second = reconcile_provider(changed, NOW + 5)
    assert second.note is None and second.condition is not None and first.condition is not None
    assert (second.condition.generation, second.condition.since) == (2, first.condition.since)


def test_a_provider_is_refused_and_fixed() -> None:
    first = reconcile_provider(provider(llm=llm("http://a.example")), NOW)
    assert first.note is not None and first.condition is not None
    assert (first.note.type, first.note.reason, first.condition.truth) == ("Warning", "InsecureURL", "False")
    assert "Use https://" in first.condition.message
    fixed = replace(
        provider(2, llm=llm("https://a.example")), condition=first.condition, observed_generation=1
    )
    second = reconcile_provider(fixed, NOW + 9)
    assert second.note is not None and second.condition is not None
    assert (second.note.reason, second.condition.since) == ("Accepted", NOW + 9)


def test_what_this_version_cannot_read() -> None:
    found = provider(llm={"model": 3})
    assert found.fault is not None
    assert found.fault.reason is Reason.INVALID_SPEC
    assert not found.view.ready
    assert reconcile_provider(found, NOW).condition is not None


def test_a_provider_that_cannot_be_read_is_told_so_once() -> None:
    document = {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": "AvatarProvider",
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "1", "generation": 2},
        "spec": {"llm": {"model": ["not", "a", "name"]}},
    }
    first = reconcile_provider(read_provider(document), NOW)
    assert first.condition is not None
    assert first.note is not None
    assert first.condition.reason == Reason.INVALID_SPEC
    status = {"conditions": [condition_json(first.condition)], "observedGeneration": 2}
    assert reconcile_provider(read_provider({**document, "status": status}), NOW + 500) == Decision()
