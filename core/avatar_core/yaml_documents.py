"""YAML as kubectl reads it, with the line of every field, and harmless whatever is in it.

PyYAML's own types differ from those of the YAML library of Kubernetes: there `1e3` is a number, `y` is true,
and dates and `1:30` are texts. Here scalars are resolved as there. Only plain data comes out; aliases are
counted each time they are used, so a few lines can't grow without bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isinf
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import MANIFEST_BYTES_MAX

MAX_NODES = 20_000
"""Of one stream, aliases followed; a manifest of ours has some dozens."""

MAX_DEPTH = 64
"""Of values in values; ours stop at six."""

Path = tuple[str | int, ...]

_PLAIN = "plain"
_TAGS = "tag:yaml.org,2002:"
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLS = {
    word: truth
    for truth, words in ((True, "y yes true on"), (False, "n no false off"))
    for base in words.split()
    for word in (base, base.capitalize(), base.upper())
}
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0[0-7_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ODD_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a stream.

    Attributes:
        value: mappings, lists, strings, numbers, booleans and None.
        lines: where each field begins, counted from 1; () is the document itself.
    """

    value: Any
    lines: Mapping[Path, int]

    def line_of(self, path: Path) -> int:
        """The line of a field, or of what it should be in."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def load_documents(text: str, source: str) -> list[Document]:
    """Every document of a YAML stream that is not empty.

    Args:
        text: at most 1 MiB.
        source: what to call it in messages.

    Raises:
        InvalidInputError: too large, not YAML, or with keys given twice, tags, cycles or too many aliases.
            The message names the line.
    """
    if len(text) > MANIFEST_BYTES_MAX:
        raise InvalidInputError(Reason.INVALID_SPEC, f"{source} is larger than {MANIFEST_BYTES_MAX} bytes")
    try:
        return [document for document in _documents(text) if document.value is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}" if mark else source
        raise InvalidInputError(
            Reason.INVALID_SPEC, f"{where} is not YAML: {str(error.problem)[:200]}"
        ) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"{source}:{line} is not YAML: it holds the character U+{int(error.character):04X}"
        raise InvalidInputError(Reason.INVALID_SPEC, message) from None
    except RecursionError:
        raise InvalidInputError(Reason.INVALID_SPEC, f"{source} is not YAML: nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """Leaves plain scalars unresolved, and counts."""

    composed = depth = 0

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is ScalarNode and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, (False, True)))  # type: ignore[no-untyped-call]

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.composed += 1
        self.depth += 1
        if self.composed > MAX_NODES or self.depth > MAX_DEPTH:
            problem = "nested too deeply" if self.depth > MAX_DEPTH else f"more than {MAX_NODES} values"
            raise _problem(problem, self.peek_event())  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _documents(text: str) -> Iterator[Document]:
    loader, reader = _Loader(text), _Reader()
    try:
        while loader.check_node():
            root = loader.get_node()
            assert root is not None
            lines: dict[Path, int] = {(): root.start_mark.line + 1}
            yield Document(reader.value(root, (), lines), lines)
    finally:
        loader.dispose()


class _Reader:
    """From nodes to plain values."""

    def __init__(self) -> None:
        self._seen = 0

    def value(self, node: Node, path: Path, lines: dict[Path, int]) -> Any:
        """The value of a node; the lines of all in it are noted."""
        self._seen += 1
        if self._seen > MAX_NODES:
            raise _problem(f"more than {MAX_NODES} values once aliases are followed", node)
        if isinstance(node, MappingNode) and node.tag == f"{_TAGS}map":
            return self._mapping(node, path, lines)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAGS}seq":
            return [self._child(item, (*path, i), item, lines) for i, item in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return _scalar(node)
        raise _problem(f"the tag {str(node.tag)[:80]} is not allowed", node)

    def _child(self, node: Node, path: Path, begin: Node, lines: dict[Path, int]) -> Any:
        lines[path] = begin.start_mark.line + 1
        return self.value(node, path, lines)

    def _mapping(self, node: MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                merged = self._merged(value_node, path, lines) | merged
                continue
            key = self.value(key_node, path, {})
            if not isinstance(key, str):
                shown = str(key_node.value)[:40]
                raise _problem(f"the key {shown!r} must be a string; put it in quotes", key_node)
            if key in own:
                raise _problem(f"the key {key[:40]!r} is there twice", key_node)
            own[key] = self._child(value_node, (*path, key), key_node, lines)
        return merged | own

    def _merged(self, node: Node, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
        found = self.value(node, path, lines)
        parts = found if isinstance(found, list) else [found]
        if not all(isinstance(part, dict) for part in parts):
            raise _problem("<< needs a mapping, or a list of mappings", node)
        return {key: value for part in reversed(parts) for key, value in part.items()}


def _scalar(node: ScalarNode) -> Any:
    text = str(node.value)
    if node.tag == f"{_TAGS}str":
        return text
    if node.tag != _PLAIN:
        raise _problem(f"the tag {str(node.tag)[:80]} is not allowed", node)
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    return _number(text)


def _number(text: str) -> int | float | str:
    """A number when it looks like one, else the text."""
    if text.startswith("_"):
        return text
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(text) and len(text) <= 100:
        return int(digits, 8 if re.fullmatch(r"[-+]?0[0-7]+", digits) else 0)
    if _ODD_FLOAT.fullmatch(text):
        return float(text.replace(".", ""))
    if not _FLOAT.fullmatch(digits) or isinf(float(digits)):
        return text
    number = float(digits)
    return int(number) if number.is_integer() else number


def _problem(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)
