"""Reads YAML manifests into resources; every mistake becomes one sentence that names the field."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.mistakes import Mistake, mistakes_of, nearest
from avatar_core.resources import API_VERSION, Avatar, AvatarProvider, AvatarSession, Place
from avatar_core.yaml_documents import Document, load_documents

AnyResource = AvatarSession | Avatar | AvatarProvider

KINDS: dict[str, type[AnyResource]] = {
    "AvatarSession": AvatarSession,
    "Avatar": Avatar,
    "AvatarProvider": AvatarProvider,
}


def read_manifests(text: str, source: str = "manifest", place: Place = Place.LAPTOP) -> list[AnyResource]:
    """Every document of a YAML stream, in order.

    Args:
        text: at most 1 MiB.
        source: what to call it in messages.
        place: where the resources are going to be used.

    Raises:
        InvalidInputError: not YAML, an unknown kind or field, or a value out of range. The message names the
            line, the field and what is allowed; an unknown field comes with its nearest name.
    """
    documents = load_documents(text, source)
    if not documents:
        raise InvalidInputError(Reason.INVALID_SPEC, f"{source} holds no document")
    return [_read(document, source, place) for document in documents]


def read_resource(document: Any, source: str = "manifest", place: Place = Place.LAPTOP) -> AnyResource:
    """One resource from a parsed document. Raises InvalidInputError as `read_manifests` does."""
    found = check_resource(document, place)
    if isinstance(found, list):
        raise _refusal(found, source)
    return found


def check_resource(document: Any, place: Place) -> AnyResource | list[Mistake]:
    """The resource, or all that is wrong with it: at least one mistake. Its status is passed over."""
    if not isinstance(document, dict):
        return [Mistake((), "must be a mapping with apiVersion and kind")]
    kind, version = document.get("kind"), document.get("apiVersion")
    if version != API_VERSION:
        return [Mistake(("apiVersion",), f"{_shown(version)} is unknown; use {API_VERSION}")]
    if not isinstance(kind, str) or kind not in KINDS:
        hint = nearest(str(kind)[:80], KINDS) if isinstance(kind, str) else ""
        return [Mistake(("kind",), f"{_shown(kind)} is unknown{hint}; known: {', '.join(KINDS)}")]
    document = {key: value for key, value in document.items() if key != "status"}
    try:
        return KINDS[kind].model_validate(document, by_alias=True, by_name=False, context=place)
    except ValidationError as error:
        return mistakes_of(error, KINDS[kind])


def read_stored(document: Any) -> AnyResource:
    """One resource as an API server stores it, with its status.

    Fields that a newer version added are passed over, so that an older operator can go on.

    Raises:
        InvalidInputError: an unknown kind, or stored before today's rules were.
    """
    model = KINDS[document["kind"]]
    try:
        return model.model_validate(
            document, by_alias=True, by_name=False, extra="ignore", context=Place.CLUSTER
        )
    except ValidationError as error:
        raise _refusal(mistakes_of(error, model), "stored object") from None


def _read(document: Document, source: str, place: Place) -> AnyResource:
    found = check_resource(document.value, place)
    if isinstance(found, list):
        raise _refusal(found, f"{source}:{document.line_of(found[0].path)}")
    return found


def _refusal(mistakes: list[Mistake], source: str) -> InvalidInputError:
    """The first mistake as an error; the others are counted."""
    first, *others = mistakes
    more = f" ({len(others)} more)" if others else ""
    return InvalidInputError(
        Reason.INVALID_SPEC, f"{first.message} [{source}]{more}", field=first.field or None
    )


def _shown(value: Any) -> str:
    return repr(value[:80]) if isinstance(value, str) else f"a {type(value).__name__}"
