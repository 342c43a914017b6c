"""Checks manifests the way a cluster will, without one: pure, from text to findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from avatar_core.errors import InvalidInputError
from avatar_core.manifests import KINDS, AnyResource, check_resource
from avatar_core.mistakes import Mistake
from avatar_core.resources import GROUP, Place
from avatar_core.yaml_documents import Document, load_documents

DROPPED = "an API server drops it without a word unless it is told to be strict"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to correct in a file.

    Attributes:
        source: the file.
        line: counted from 1; None when the message says where.
        field: such as "spec.video.fps"; empty for a whole document.
        message: what is wrong, and what is allowed.
    """

    source: str
    line: int | None
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A document that is as it must be, as far as one can tell from here."""

    source: str
    document: Document
    resource: AnyResource


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one file.

    Attributes:
        good: documents of ours without mistakes.
        findings: what is wrong with the others.
        foreign: lines of documents that belong to others, such as a Secret; they were not looked at.
    """

    good: tuple[Checked, ...] = ()
    findings: tuple[Finding, ...] = ()
    foreign: tuple[int, ...] = ()


def lint(data: bytes, source: str) -> Report:
    """Checks every document of a YAML stream."""
    try:
        documents = load_documents(data.decode("utf-8-sig"), source)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Report(findings=(Finding(source, line, "", "is not UTF-8"),))
    except InvalidInputError as error:
        return Report(findings=(Finding(source, None, "", error.message),))
    good: list[Checked] = []
    findings: list[Finding] = []
    foreign = tuple(document.line_of(()) for document in documents if _is_foreign(document.value))
    if len(foreign) == len(documents):
        return Report(findings=(Finding(source, 1, "", f"holds nothing of {GROUP}"),))
    for document in documents:
        if document.line_of(()) in foreign:
            continue
        found = check_resource(document.value, Place.CLUSTER)
        if isinstance(found, list):
            findings += as_findings(found, source, document)
        else:
            good.append(Checked(source, document, found))
    return Report(tuple(good), tuple(findings), foreign)


def as_findings(mistakes: Sequence[Mistake], source: str, document: Document) -> list[Finding]:
    """Mistakes of a document with their lines, in the order of the lines."""
    found = [
        Finding(
            source,
            document.line_of(mistake.path),
            mistake.field,
            f"{mistake.message}; {DROPPED}" if mistake.unknown else mistake.message,
        )
        for mistake in mistakes
    ]
    return sorted(found, key=lambda finding: finding.line or 0)


def _is_foreign(value: Any) -> bool:
    """Whether a document is of another group and does not look like one of ours with a typing error."""
    if not isinstance(value, dict):
        return False
    version, kind = value.get("apiVersion"), value.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str) or kind in KINDS:
        return False
    group = version.partition("/")[0][:253]
    return group != GROUP and SequenceMatcher(None, group, GROUP).ratio() < 0.8
