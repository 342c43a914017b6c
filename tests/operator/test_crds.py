"""The committed CRDs are those of the models, and keep the limits that an API server needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from avatar_core import limits
from avatar_core.resources import Avatar, AvatarProvider, AvatarSession, Resource
from avatar_core.resources.rules import FIXED, VALIDATIONS
from avatar_operator.crds import FOLDER, KINDS, as_yaml, definitions, write

NAMES = sorted(definitions())


def schema(name: str) -> dict[str, Any]:
    (version,) = definitions()[name]["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")


def rules() -> list[dict[str, str]]:
    return [rule for name in NAMES for _, node in nodes(schema(name)) for rule in node.get(VALIDATIONS, [])]


def test_the_committed_files_are_what_the_models_say(tmp_path: Path) -> None:
    write(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert committed == made, "run `make crds`"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_reads_back_as_it_was_made(name: str) -> None:
    text = as_yaml(definitions()[name])
    assert yaml.safe_load(text) == definitions()[name]
    assert not re.search(r"[&*]id\d", text)


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_bounded(name: str) -> None:
    for path, node in nodes(schema(name)):
        kind = node.get("type", "string" if node.get("x-kubernetes-int-or-string") else None)
        assert kind in {"object", "array", "string", "integer", "number", "boolean"}, path
        if path in {".apiVersion", ".kind"}:
            continue
        if kind == "string":
            assert {"maxLength", "enum"} & node.keys() or node.get("format") == "date-time", path
        if kind == "array":
            assert "maxItems" in node, path
        if kind == "object":
            assert "properties" in node, path
            assert "additionalProperties" not in node, path
        if kind in {"integer", "number"}:
            assert {"minimum", "maximum"} <= node.keys() or VALIDATIONS in node, path


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_structural(name: str) -> None:
    for path, node in nodes(schema(name)):
        assert not {"$ref", "anyOf", "const", "title", "nullable", "examples"} & node.keys(), path
        assert node.get("default") is not None or "default" not in node, path


def test_fields_are_explained() -> None:
    silent = [
        path
        for name in NAMES
        for path, node in nodes(schema(name))
        if path.startswith(".spec") and not node.get("description")
    ]
    # Sides of a box and of a cheek say what they are.
    assert all(re.search(r"\.(width|height|left|right|top)$", path) for path in silent), silent


def test_what_nobody_wrote_stays_away_from_a_status() -> None:
    for name in NAMES:
        status = schema(name)["properties"]["status"]
        assert not [path for path, node in nodes(status) if "default" in node]


def test_at_most_fifteen_rules_each_with_a_reason() -> None:
    found = rules()
    assert 10 <= len(found) <= 15
    for rule in found:
        assert len(rule["message"]) <= 300
        assert ":" in rule["message"] or "since" in rule["message"] or "," in rule["message"], rule


@pytest.mark.parametrize(
    "words",
    [
        "12 to 30 frames",
        "1 to 4 frames",
        "exactly one of prompt, text and audio",
        "https://",
        "http:// or https://",
    ],
)
def test_messages_tell_the_allowed_range(words: str) -> None:
    assert any(words in rule["message"] for rule in rules())


def test_one_rule_fixes_every_field_that_may_not_change() -> None:
    fields = set(schema("avatarsessions.yaml")["properties"]["spec"]["properties"])
    free = {"suspend", "cancel", "retry", "videoTTLSeconds", "ttlSecondsAfterFinished"}
    assert set(FIXED) == fields - free
    (rule,) = [rule["rule"] for rule in rules() if "oldSelf.prompt" in rule["rule"]]
    for field in FIXED:
        assert f"has(self.{field}) == has(oldSelf.{field})" in rule


def test_profile_limits_and_defaults_are_those_of_the_limits() -> None:
    spec = schema("avatarsessions.yaml")["properties"]["spec"]["properties"]
    assert spec["video"]["properties"]["profile"]["enum"] == list(limits.PROFILES)
    defaults = {
        name: spec[name].get("default") for name in ("timeoutSeconds", "videoTTLSeconds", "retry", "video")
    }
    assert defaults == {
        "timeoutSeconds": 120,
        "videoTTLSeconds": 3600,
        "retry": 0,
        "video": {"profile": "balanced"},
    }


def test_columns_names_and_subresources() -> None:
    found = {kind.name: kind for kind in KINDS}
    assert [kind.short for kind in KINDS] == ["avs", "av", "avp"]
    names = [column.name for column in found["AvatarSession"].columns if not column.priority]
    assert names == ["Phase", "Stage", "Progress", "Engine", "Seconds", "Age"]
    assert all(any(column.priority for column in kind.columns) for kind in KINDS)
    for document in definitions().values():
        (version,) = document["spec"]["versions"]
        assert version["subresources"] == {"status": {}}
        assert len(version.get("selectableFields", [])) <= 8


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_and_selectable_fields_lead_somewhere(kind: Any) -> None:
    known = {path for path, _ in nodes(schema(f"{kind.plural}.yaml"))}
    for path in [*(column.path for column in kind.columns), *kind.selectable]:
        if not path.startswith(".metadata"):
            assert path.split("[?")[0] in known, path


@pytest.mark.parametrize("model", [AvatarSession, Avatar, AvatarProvider])
def test_models_default_as_the_server_does(model: type[Resource]) -> None:
    """Every default in the schema is the model's own."""
    spec = schema(f"{model.__name__.lower()}s.yaml")["properties"]["spec"]
    minimal = {
        "AvatarSession": {"text": "hi"},
        "Avatar": {"source": {"url": "https://example.com/a.png"}},
        "AvatarProvider": {},
    }[model.__name__]
    document = {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": model.__name__,
        "metadata": {"name": "a"},
        "spec": minimal,
    }
    dumped = model.model_validate(document, by_alias=True).model_dump(
        by_alias=True, mode="json", exclude_none=True
    )
    assert dumped["spec"] == defaulted(spec, minimal)


def defaulted(node: dict[str, Any], value: Any) -> Any:
    """What an API server makes of a value: defaults from the outside in."""
    if not isinstance(value, dict):
        return value
    found = dict(value)
    for name, child in node.get("properties", {}).items():
        if name not in found and "default" in child:
            found[name] = child["default"]
        if name in found:
            found[name] = defaulted(child, found[name])
    return found
