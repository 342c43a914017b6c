"""docs/operations.md says what to do on every alert of the chart, and on no other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.chart.charts import MATRIX, RELEASE, find, render

PAGE = (Path(__file__).parents[1] / "docs/operations.md").read_text()


def test_every_alert_has_its_row_with_what_to_do() -> None:
    groups = find(render(MATRIX["watched"]), "PrometheusRule", RELEASE)["spec"]["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    section = PAGE.split("\n## Alerts\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert len(alerts) > 2
    assert sorted(name for name, _, _ in rows) == sorted(alerts)
