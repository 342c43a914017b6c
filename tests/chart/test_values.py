"""The values: each is described, a wrong one is refused by its name, and none are needed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.chart.charts import MATRIX, HelmError, Json, helm, render
from tests.cluster.operators import CHART

VALUES: Json = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Json = yaml.safe_load((CHART / "values.schema.json").read_text())
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
    ({"operator": {"resources": {"limits": {"memroy": "1Gi"}}}}, "limits: Additional property memroy is not"),
    (
        {"sessions": {"resources": {"limits": {"memory": "1 GB"}}}},
        "sessions.resources.limits.memory: Does not",
    ),
    ({"gateway": {"tolerations": [{"keys": "gpu"}]}}, "gateway.tolerations.0: Additional property keys"),
    ({"inference": {"extraEnv": [{"name": "A", "vale": "1"}]}}, "extraEnv.0: Additional property vale"),
    ({"gateway": {"viewers": [{"kind": "Grup", "name": "a"}]}}, "gateway.viewers.0.kind"),
    ({"networkPolicy": {"egress": {"store": {"ports": [70000]}}}}, "egress.store.ports.0: Must be less"),
    ({"sessions": {"fetch": {"allow": ["10.0.0.1"]}}}, "sessions.fetch.allow.0: Does not match"),
    ({"inference": {"autoscaling": {"by": "gpu"}}}, 'one of the following: "", "cpu", "renders"'),
    ({"inference": {"autoscaling": {"by": "renders"}}}, "inference.autoscaling.prometheus is needed"),
    (
        {"inference": {"autoscaling": {"by": "cpu", "minReplicas": 9}}},
        "inference.autoscaling.minReplicas must not be more than maxReplicas",
    ),
    ({"telemetry": {"endpoint": "collector:4318"}}, "telemetry.endpoint"),
]


def schema_of(part: Json) -> Json:
    """What a part of the schema stands for."""
    reference = part.get("$ref")
    return SCHEMA["definitions"][reference.rpartition("/")[2]] if reference else part


def paths(values: Any, schema: Json, at: str = "") -> tuple[set[str], set[str]]:
    """Keys of values that the schema lacks, and of the schema that the values lack."""
    schema = schema_of(schema)
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
    unknown, unused = paths(VALUES, SCHEMA)
    assert unknown == set()
    # Helm itself adds `global`, for charts around this one; the engine says what resources it needs.
    assert unused == {"global", "inference.resources.limits", "inference.resources.requests"}


def misspelt(values: Json, at: str = "") -> tuple[Json, set[str]]:
    """Beside every key one that is like it, and what should be said of it."""
    mistaken, said = dict(values), set[str]()
    for key, value in values.items():
        typo = f"{key[:-2]}{key[-1]}{key[-2]}" if key[-1] != key[-2] else f"{key}s"
        mistaken[typo] = value
        said.add(f"- {at.rstrip('.') or '(root)'}: Additional property {typo} is not allowed")
        if isinstance(value, dict):
            mistaken[key], more = misspelt(value, f"{at}{key}.")
            said |= more
    return mistaken, said


def test_no_misspelt_key_is_passed_over_at_any_level() -> None:
    mistaken, expected = misspelt(VALUES)
    assert len(expected) > 120
    with pytest.raises(HelmError) as refused:
        render(mistaken)
    assert expected - set(str(refused.value).splitlines()) == set()


def mistyped(values: Json, at: str = "") -> tuple[Json, set[str]]:
    """A value of another type at every leaf, and the start of what should be said of it."""
    mistaken, said = dict[str, Any](), set[str]()
    for key, value in values.items():
        path = f"{at}{key}"
        if isinstance(value, dict) and value:
            mistaken[key], more = mistyped(value, f"{path}.")
            said |= more
        else:
            quantity = path.endswith((".cpu", ".memory", ".size", ".scratch"))
            mistaken[key] = 7 if isinstance(value, str) and not quantity else "?"
            said.add(f"- {path}: ")
    return mistaken, said


def test_no_value_of_another_type_is_passed_over() -> None:
    mistaken, expected = mistyped(VALUES)
    with pytest.raises(HelmError) as refused:
        render(mistaken)
    told = str(refused.value)
    assert {start for start in expected if start not in told} == set()


@pytest.mark.parametrize(("values", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_refused_by_its_name(values: Json, said: str) -> None:
    with pytest.raises(HelmError) as refused:
        render(values)
    assert said in str(refused.value)


@pytest.mark.parametrize("name", MATRIX)
def test_helm_finds_no_fault(name: str) -> None:
    helm("lint", "--strict", str(CHART), values=MATRIX[name])
