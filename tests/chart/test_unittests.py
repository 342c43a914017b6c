"""The suites that come with the chart, for whoever changes its values: run by helm-unittest."""

from __future__ import annotations

import subprocess

import pytest
import yaml
from tests.cluster.operators import CHART
from tests.support.peers import HELM_UNITTEST, tool

pytestmark = pytest.mark.peers

SUITES = sorted((CHART / "tests").glob("*_test.yaml"))


def test_every_suite_passes() -> None:
    ran = subprocess.run([tool(HELM_UNITTEST), str(CHART)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tests = sum(len(yaml.safe_load(suite.read_text())["tests"]) for suite in SUITES)
    assert f"{tests} passed, {tests} total" in ran.stdout


def test_suites_are_not_packed_with_the_chart() -> None:
    assert "/tests/" in (CHART / ".helmignore").read_text().split()
