"""`avatar bench`: a row for each stage and for whole renders, readable by programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.test_prepare import avatar

STAGES = ["start the server", "listen to 8 s", "draw", "draw", "paste", "encode", "whole renders"]


@pytest.mark.slow
def test_every_stage_has_its_row(tmp_path: Path) -> None:
    arguments = ("bench", "--batches", "1,2", "--streams", "2", "--seconds", "0.1", "--json")
    told = json.loads(avatar(*arguments, cwd=tmp_path).stdout)
    assert told["engine"] == "preview"
    assert told["command"] == " ".join(("avatar", *arguments))
    assert told["memory_gib"] > 0
    rows = told["rows"]
    assert [row["stage"] for row in rows] == STAGES
    assert [row["at_once"] for row in rows] == [1, 1, 1, 2, 1, 1, 2]
    assert all(row["frames_per_second"] > 0 for row in rows[1:])
    assert all(0 < row["p50_ms"] <= row["p99_ms"] for row in rows)
    assert not list((tmp_path / "data").rglob("*"))  # its avatar is not left among the user's
