"""Reads YAML manifests into resources; every mistake becomes one sentence that names the field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

import yaml
from annotated_types import Ge, Le, MultipleOf
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.resources import API_VERSION, AvatarProvider, AvatarSession

KINDS: dict[str, type[AvatarSession] | type[AvatarProvider]] = {
    "AvatarSession": AvatarSession,
    "AvatarProvider": AvatarProvider,
}
MAX_MANIFEST_BYTES = 1024 * 1024


def read_manifests(text: str, source: str = "manifest") -> list[AvatarSession | AvatarProvider]:
    """Every document of a YAML stream, in order.

    Raises:
        InvalidInputError: not YAML, an unknown kind or field, or a value out of range. The message names the
            document's number, the field and what is allowed; an unknown field comes with its nearest name.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise InvalidInputError(Reason.INVALID_SPEC, f"{source} is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except (yaml.YAMLError, RecursionError) as error:
        where = str(error).replace("\n", " ")
        raise InvalidInputError(Reason.INVALID_SPEC, f"{source} is not YAML: {where}") from None
    if not documents:
        raise InvalidInputError(Reason.INVALID_SPEC, f"{source} holds no document")
    return [read_resource(document, f"{source}#{number}") for number, document in enumerate(documents, 1)]


def read_resource(document: Any, source: str = "manifest") -> AvatarSession | AvatarProvider:
    """One resource from a parsed document. Raises InvalidInputError as `read_manifests` does."""
    if not isinstance(document, dict):
        raise InvalidInputError(Reason.INVALID_SPEC, f"{source} must be a mapping with apiVersion and kind")
    kind, version = document.get("kind"), document.get("apiVersion")
    if version != API_VERSION:
        message = f"{source}: {version!r} is unknown; use {API_VERSION}"
        raise InvalidInputError(Reason.INVALID_SPEC, message, field="apiVersion")
    if not isinstance(kind, str) or kind not in KINDS:
        message = f"{source}: {kind!r} is unknown{_nearest(str(kind), KINDS)}; known: {', '.join(KINDS)}"
        raise InvalidInputError(Reason.INVALID_SPEC, message, field="kind")
    document = {key: value for key, value in document.items() if key != "status"}
    try:
        return KINDS[kind].model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _explain(error, KINDS[kind], source) from None


def _explain(error: ValidationError, model: type[BaseModel], source: str) -> InvalidInputError:
    """The first mistake as a sentence; the others are counted."""
    first, *others = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    path = [str(part) for part in first["loc"]]
    more = f" ({len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        text = f"unknown field {path[-1]!r}{_nearest(path[-1], known)}; known: {', '.join(known)}"
    elif first["type"] == "missing":
        text = "is required"
    else:
        text = _allowed_range(model, path) or first["msg"].removeprefix("Value error, ")
        if first["type"] != "value_error" and isinstance(first["input"], str | int | float):
            text += f", not {str(first['input'])[:80]!r}"
        if first["type"] == "literal_error":
            text += _nearest(str(first["input"]), re.findall("'([^']+)'", first["ctx"]["expected"]))
    return InvalidInputError(Reason.INVALID_SPEC, f"{text} [{source}]{more}", field=".".join(path))


def _model_at(model: type[BaseModel] | None, path: list[str]) -> type[BaseModel] | None:
    """The model that stands at `path`."""
    for part in path:
        found = _field(model, part) if model else None
        model = next(_models_in(found.annotation), None) if found else None
    return model


def _field(model: type[BaseModel], name: str) -> FieldInfo | None:
    return next((field for key, field in model.model_fields.items() if name in (field.alias, key)), None)


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """YAML names of the fields of the model that stands at `path`."""
    found = _model_at(model, path)
    return [field.alias or name for name, field in found.model_fields.items()] if found else []


def _allowed_range(model: type[BaseModel], path: list[str]) -> str | None:
    """ "must be 1 to 4" for a number with both bounds; None for anything else."""
    parent = _model_at(model, path[:-1])
    field = _field(parent, path[-1]) if parent else None
    if field is None:
        return None
    bounds = [*field.metadata, *(b for a in get_args(field.annotation) for b in _constraints(a))]
    low = next((b.ge for b in bounds if isinstance(b, Ge)), None)
    high = next((b.le for b in bounds if isinstance(b, Le)), None)
    even = any(isinstance(b, MultipleOf) for b in bounds)
    return None if low is None or high is None else f"must be {low} to {high}{' and even' if even else ''}"


def _constraints(annotation: Any) -> tuple[Any, ...]:
    """annotated-types constraints of an Annotated member of a union."""
    found = (getattr(m, "metadata", [m]) for m in getattr(annotation, "__metadata__", ()))
    return tuple(constraint for group in found for constraint in group)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def _nearest(name: str, known: Any) -> str:
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""
