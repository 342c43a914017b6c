"""From a pydantic model to a structural OpenAPI v3 schema, as CustomResourceDefinitions want it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avatar_core.resources import Resource

Schema = dict[str, Any]

_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "maxProperties",
    "allOf",
    "required",
)
_REFERENCE = "#/$defs/"
_INT32_MAX = 2**31 - 1


def structural(model: type[Resource]) -> Schema:
    """The schema of a model: no references, nullable nowhere, every field as the API server defaults it."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(schema, schema.get("$defs", {}))


def without_defaults(schema: Schema) -> Schema:
    """The same schema, in which what nobody wrote stays away."""
    kept = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in kept:
        kept["properties"] = {name: without_defaults(child) for name, child in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = without_defaults(kept["items"])
    return kept


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    node = _plain(node, definitions)
    if node.get("type") == "integer":
        node["format"] = "int64" if node.get("maximum", 0) > _INT32_MAX else "int32"
    found: Schema = {key: node[key] for key in _KEPT if key in node}
    found |= {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}
    if "description" in found:
        found["description"] = " ".join(found["description"].split())
    if "properties" in node:
        found["properties"] = {
            name: _structural(child, definitions) for name, child in node["properties"].items()
        }
    if "items" in node:
        found["items"] = _structural(node["items"], definitions)
    default = _without_null(node.get("default"))
    return found if default in (None, "", []) else found | {"default": default}


def _plain(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """A node with its reference put in place, and "X or null" made X: to an API server null is absent."""
    if "anyOf" in node:
        (chosen,) = (option for option in node["anyOf"] if option.get("type") != "null")
        node = {**chosen, **{key: value for key, value in node.items() if key != "anyOf"}}
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix(_REFERENCE)]
        node = {**_plain(target, definitions), **{key: value for key, value in node.items() if key != "$ref"}}
    return dict(node)


def _without_null(default: Any) -> Any:
    if not isinstance(default, dict):
        return default
    return {key: _without_null(value) for key, value in default.items() if value is not None}
