"""What is wrong with a resource, as sentences: the field, what is allowed, and the nearest known name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from annotated_types import Ge, Le, MultipleOf
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from avatar_core.resources import PATTERNS


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to correct.

    Attributes:
        path: of the field: names and, in lists, positions.
        message: what is wrong, and what is allowed.
        unknown: nobody knows a field of this name. An API server drops it silently unless it is
            asked to be strict.
    """

    path: tuple[str | int, ...]
    message: str
    unknown: bool = False

    @property
    def field(self) -> str:
        """The path as text, such as "spec.video.fps"; a stranger's key can't write what it likes into it."""
        return ".".join(printable(str(part)[:80]) for part in self.path)


def mistakes_of(error: ValidationError, model: type[BaseModel]) -> list[Mistake]:
    """Every mistake that validation against `model` found, unknown fields first."""
    found = [_mistake(detail, model) for detail in error.errors(include_url=False)]
    return sorted(found, key=lambda mistake: not mistake.unknown)


def _mistake(detail: ErrorDetails, model: type[BaseModel]) -> Mistake:
    path: tuple[str | int, ...] = detail["loc"]
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        text = (
            f"unknown field {str(path[-1])[:80]!r}{nearest(str(path[-1]), known)}; known: {', '.join(known)}"
        )
        return Mistake(path, text, unknown=True)
    if kind == "rule":
        within = tuple(context["field"].split(".")) if context["field"] else ()
        return Mistake((*path, *within), context["text"])
    return Mistake(path, _sentence(kind, detail, model, path))


_SENTENCES = {
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "string_too_long": "must be at most {max_length} characters",
    "string_too_short": "must be at least {min_length} character",
    "string_unicode": "must be text that can be written as UTF-8",
}


_TOLD = {"value_error", "string_too_long", "string_too_short"}
"""What was written would not make these clearer."""


def _sentence(kind: str, detail: ErrorDetails, model: type[BaseModel], path: tuple[str | int, ...]) -> str:
    if kind == "missing":
        return "is required"
    context, written = detail.get("ctx", {}), detail["input"]
    text = _allowed_range(model, path) or PATTERNS.get(context.get("pattern", ""))
    text = text or _SENTENCES.get(kind, "").format(**context) or detail["msg"].removeprefix("Value error, ")
    if kind not in _TOLD and isinstance(written, str | int | float):
        text += f", not {str(written)[:80]!r}"
    if kind == "literal_error":
        text += nearest(str(written), re.findall("'([^']+)'", context["expected"]))
    if kind == "string_type" and isinstance(written, bool | int | float):
        text += "; put it in quotes"
    return text


def _model_at(model: type[BaseModel] | None, path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that stands at `path`."""
    for part in path:
        found = _field(model, part) if model else None
        model = next(_models_in(found.annotation), None) if found else None
    return model


def _field(model: type[BaseModel], name: str | int) -> FieldInfo | None:
    return next((field for key, field in model.model_fields.items() if name in (field.alias, key)), None)


def _fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """YAML names of the fields of the model that stands at `path`."""
    found = _model_at(model, path)
    return [field.alias or name for name, field in found.model_fields.items()] if found else []


def _allowed_range(model: type[BaseModel], path: tuple[str | int, ...]) -> str | None:
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


def printable(text: str) -> str:
    """Control characters, line breaks and marks of direction as escapes: safe for a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as "; did you mean 'fps'?", or nothing."""
    matches = get_close_matches(name[:80], list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""
