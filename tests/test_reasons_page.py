"""docs/reasons.md tells every reason as the table has it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from avatar_core.errors import REASONS, Reason

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "reasons.md").read_text()


def test_the_committed_page_is_what_the_table_says() -> None:
    made = runpy.run_path(str(DOCS / "make_reasons.py"))["page"]()
    assert made == PAGE, "run `make reasons`"


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_has_one_row_with_its_advice(reason: Reason) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{reason}` |")]
    assert REASONS[reason].advice in row
