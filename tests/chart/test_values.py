"""The values: each is described, a wrong one is refused by its name, and none are needed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.chart.charts import MATRIX, HelmError, Json, helm, render
from tests.cluster.operators import CHART

MISTAKES: list[tuple[Json, str]] = [
    ({"operator": {"replcias": 3}}, "operator: Additional property replcias is not allowed"),
    ({"enigne": "musetalk"}, "Additional property enigne is not allowed"),
    ({"engine": "mustalk"}, "engine: engine must be one of"),
    ({"inference": {"image": {"tags": "1"}}}, "inference.image: Additional property tags is not allowed"),
    ({"store": {"type": "s3"}}, "store.type"),
    ({"store": {"type": "url", "url": "http://videos"}}, "store.url"),
    ({"store": {"type": "url"}}, "store.url"),
    ({"gateway": {"replicas": "two"}}, "gateway.replicas: Invalid type"),
    ({"gateway": {"replicas": 2}}, "gateway.replicas"),
    ({"namespaces": "team"}, "namespaces: Invalid type"),
    ({"image": {"digest": "latest"}}, "image.digest"),
    ({"links": {"base": "videos.example"}}, "links.base"),
    ({"links": {"keyId": "a/b"}}, "links.keyId"),
    ({"telemetry": {"endpoint": "collector:4318"}}, "telemetry.endpoint"),
]


def paths(values: Any, schema: Json, at: str = "") -> tuple[set[str], set[str]]:
    """Keys of values that the schema lacks, and of the schema that the values lack."""
    known = schema.get("properties")
    if not isinstance(values, dict) or known is None:
        return set(), set()
    assert schema["additionalProperties"] is False, at
    unknown, unused = (
        {f"{at}{key}" for key in each} for each in (values.keys() - known, known.keys() - values)
    )
    for key in values.keys() & known.keys():
        more_unknown, more_unused = paths(values[key], known[key], f"{at}{key}.")
        unknown, unused = unknown | more_unknown, unused | more_unused
    return unknown, unused


def test_the_schema_knows_just_the_values_that_there_are() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    assert paths(values, schema) == (set(), {"global"})  # which Helm itself adds, for charts around this one


@pytest.mark.parametrize(("values", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_refused_by_its_name(values: Json, said: str) -> None:
    with pytest.raises(HelmError) as refused:
        render(values)
    assert said in str(refused.value)


@pytest.mark.parametrize("name", MATRIX)
def test_helm_finds_no_fault(name: str) -> None:
    helm("lint", "--strict", str(CHART), values=MATRIX[name])
