"""Writes two tables of the chart's README: of values, from values.yaml and its `# --` comments, and of what
kube-score finds fault with, from kube-score.yaml.

From the root of the project: .venv/bin/python docs/make_values.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[1] / "charts/avatar-operator"
README = CHART / "README.md"
MARK = "# -- "


def rows() -> Iterator[tuple[str, str, str]]:
    """Path, default as JSON, and description of every value; a flow mapping is one value."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    root = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    yield from _below(root, "", text.splitlines(), yaml.safe_load(text))


def _below(node: yaml.MappingNode, at: str, lines: list[str], values: Any) -> Iterator[tuple[str, str, str]]:
    for key, value in node.value:
        path, given = f"{at}{key.value}", values[key.value]
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _below(value, f"{path}.", lines, given)
        else:
            yield path, json.dumps(given), _above(lines, key.start_mark.line)


def _above(lines: list[str], number: int) -> str:
    before = lines[number - 1].strip()
    return before.removeprefix(MARK) if before.startswith(MARK) else ""


def faults() -> Iterator[tuple[str, str, str]]:
    """Check, objects and reason of all that kube-score may find."""
    for each in yaml.safe_load((CHART / "kube-score.yaml").read_text(encoding="utf-8")):
        yield each["check"], ", ".join(each["objects"]), each["why"]


def page(text: str) -> str:
    """The README with the tables of now."""
    values = [f"| `{path}` | `{default}` | {told} |" for path, default, told in rows()]
    found = [f"| `{check}` | {on} | {why} |" for check, on, why in faults()]
    text = _between(text, "values", ["| Value | Default | |", "|---|---|---|", *values])
    return _between(text, "faults", ["| Check | On | Why it stays so |", "|---|---|---|", *found])


def _between(text: str, name: str, lines: list[str]) -> str:
    begin, end = f"<!-- {name}: `make reasons` writes them -->", f"<!-- end of {name} -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return "\n".join([f"{head}{begin}", *lines, f"{end}{tail}"])


if __name__ == "__main__":
    README.write_text(page(README.read_text(encoding="utf-8")), encoding="utf-8")
