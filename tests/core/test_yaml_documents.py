"""YAML is read as kubectl reads it, and nothing in it does harm."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

from avatar_core.errors import InvalidInputError
from avatar_core.yaml_documents import load_documents

LAUGHS = "\n".join(["a0: &a0 [lol, lol]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])
MERGED_LAUGHS = "\n".join(
    ["a0: &a0 {k: v}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))]
)


def value(text: str) -> Any:
    (document,) = load_documents(f"x: {text}", "m.yaml")
    return document.value["x"]


# What sigs.k8s.io/yaml, the YAML library of kubectl, makes of the same scalars.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("-7", -7),
        ("0x1F", 31),
        ("0b101", 5),
        ("0o17", 15),
        ("017", 15),
        ("1_000", 1000),
        ("1e3", 1000),
        ("1.5e-3", 0.0015),
        ("15.0", 15),
        ("08", 8),
        ("1_0.5", 10.5),
        ("_1", "_1"),
        ("1e400", "1e400"),
        ("-.inf", float("-inf")),
        ("0b2", "0b2"),
        (".5", 0.5),
        ("2026-01-01", "2026-01-01"),
        ("1:30", "1:30"),
        ("1.2.3", "1.2.3"),
        ("yes", True),
        ("Off", False),
        ("y", True),
        ("~", None),
        ("", None),
        ("null", None),
        ("'null'", "null"),
        ('"1"', "1"),
        ("!!str 1", "1"),
        ("30000/1001", "30000/1001"),
        ("$(OPENAI_API_KEY)", "$(OPENAI_API_KEY)"),
        ('"\\x07"', "\x07"),
    ],
)
def test_scalars_are_what_kubectl_sees(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_fields_have_lines() -> None:
    text = "a:\n  b:\n  - 1\n  - c: 2\n---\nd: 3\n"
    first, second = load_documents(text, "m.yaml")
    assert (first.line_of(("a",)), first.line_of(("a", "b", 1, "c"))) == (1, 4)
    assert first.line_of(("a", "b", "unknown", "deeper")) == 2
    assert (second.line_of(()), second.line_of(("d",))) == (6, 6)


def test_anchors_and_merges_work() -> None:
    text = "base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\ntwo: {<<: [{a: 5}, *base]}\n"
    (document,) = load_documents(text, "m.yaml")
    assert document.value["own"] == {"a": 1, "b": 3}
    assert document.value["two"] == {"a": 5, "b": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "m.yaml:2 is not YAML: the key 'a' is there twice"),
        (
            "a: !!python/object/apply:os.system ['true']",
            "python/object/apply:os.system is not allowed",
        ),
        ("a: !secret x", "tag !secret is not allowed"),
        ("a: !!binary aGk=", "is not allowed"),
        ("a: !!timestamp 2026-01-01", "is not allowed"),
        ("a: !!set {b}", "is not allowed"),
        ("1: a", "must be a string"),
        ("{x: 1, y: 2}", "the key 'y' must be a string; put it in quotes"),
        ("? [a]\n: b", "must be a string"),
        ("<<: 5", "<< needs a mapping"),
        ("a: *b", "undefined alias"),
        ("a: 1\nb: 'x\x07'", "m.yaml:2 is not YAML: it holds the character U+0007"),
        ("a:\n\t- b", "m.yaml:2"),
        ("&a [*a]", "nested too deeply"),
        ("&a {b: *a}", "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ("a: {" * 100_000, "nested too deeply"),
        (LAUGHS, "aliases"),
        (MERGED_LAUGHS, "aliases"),
        ("- a\n" * 200_000, "more than 20000 values"),
        ("x" * (1024 * 1024 + 1), "larger than"),
        ("a: *" + "b" * 100_000, "undefined alias"),
        ("a: !" + "b" * 100_000 + " 1", "is not allowed"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_what_does_harm_is_refused_quickly(text: str, words: str) -> None:
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(InvalidInputError) as caught:
        load_documents(text, "m.yaml")
    spent, (_, peak) = time.process_time() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert words in caught.value.message
    assert len(caught.value.message) < 500
    assert peak < 200e6
    assert spent < 20  # a bomb would take years


def test_a_megabyte_of_prompt_is_read() -> None:
    assert len(value("'" + "a" * 1_000_000 + "'")) == 1_000_000
