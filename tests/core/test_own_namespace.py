"""What a resource refers to is in its own namespace; no field names another."""

from __future__ import annotations

import pytest

from avatar_core.errors import InvalidInputError
from avatar_core.manifests import read_manifests

SESSION = "{prompt: Hi., %s: {name: there, namespace: others}}"
KEY = "{name: s, key: k, namespace: others}"
PROVIDER = f"{{%s: {{model: m, baseURL: 'https://api.example.com/v1', apiKeySecretRef: {KEY}}}}}"


def manifest(kind: str, spec: str) -> str:
    return f"apiVersion: avatars.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: mine}}\nspec: {spec}\n"


@pytest.mark.parametrize("field", ["avatarRef", "providerRef", "continueFrom", "llm", "speech"])
def test_another_namespace_can_not_be_named(field: str) -> None:
    provider = field in {"llm", "speech"}
    text = manifest("AvatarProvider", PROVIDER) if provider else manifest("AvatarSession", SESSION)
    text %= field
    with pytest.raises(InvalidInputError) as refused:
        read_manifests(text)
    assert f"{field}{'.apiKeySecretRef' if provider else ''}.namespace" in str(refused.value)
    assert read_manifests(text.replace(", namespace: others", ""))
