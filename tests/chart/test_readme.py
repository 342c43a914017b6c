"""The chart's README tells every value, as values.yaml has it."""

from __future__ import annotations

import runpy

from tests.cluster.operators import CHART, ROOT


def test_the_table_is_what_the_values_say() -> None:
    made = runpy.run_path(str(ROOT / "docs/make_values.py"))
    text = (CHART / "README.md").read_text()
    assert made["page"](text) == text, "run `make reasons`"
    assert [path for path, _, told in made["rows"]() if not told] == []
