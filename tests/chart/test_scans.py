"""What scanners say of everything that the chart makes: kubeconform of its form, kube-score of its habits."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.charts import MATRIX, RELEASE, Json, manifests, render
from tests.chart.schemas import LOCATION, write_builtin, write_custom
from tests.cluster import Cluster
from tests.cluster.operators import CHART, CRDS, ROOT
from tests.support.peers import KEDA, KUBE_SCORE, KUBECONFORM, PROMETHEUS_OPERATOR, module, tool

pytestmark = [pytest.mark.cluster, pytest.mark.peers]

EXAMPLES = sorted(each for each in (ROOT / "examples").rglob("*.yaml"))
FOREIGN = {
    PROMETHEUS_OPERATOR: ("example/prometheus-operator-crd", ("podmonitors", "prometheusrules")),
    KEDA: ("config/crd/bases", ("scaledobjects",)),
}
# Beside what it looks for by itself.
OPTIONAL = "container-seccomp-profile,container-ports-check"
OLDEST = "v1.30"
"""Of Kubernetes, as Chart.yaml has it."""
GOOD = 10
EXPLAINED: list[Json] = yaml.safe_load((CHART / "kube-score.yaml").read_text())


@dataclass(frozen=True)
class Fault:
    """Something that kube-score does not like, of one object of a release."""

    check: str
    on: str
    said: str


def definitions() -> Iterator[Json]:
    """Ours, and those of other projects that the chart makes use of, as they publish them."""
    for file in sorted(CRDS.iterdir()):
        yield yaml.safe_load(file.read_text())
    for project, (folder, plurals) in FOREIGN.items():
        for plural in plurals:
            (file,) = (module(project) / folder).glob(f"*_{plural}.yaml")
            yield yaml.load(file.read_text(), yaml.CSafeLoader)


@pytest.fixture(scope="module")
def schemas(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    write_builtin(cluster.rest.get("/openapi/v2"), folder)
    write_custom(definitions(), folder)
    return folder


def conform(text: str, schemas: Path) -> Json:
    """What kubeconform says of documents; every kind must be known."""
    location = f"{schemas}/{LOCATION}"
    command = [tool(KUBECONFORM), "-strict", "-summary", "-output", "json", "-schema-location", location, "-"]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    told: Json = json.loads(ran.stdout)
    return told


def faultless(told: Json, fewest: int) -> bool:
    summary = told["summary"]
    wrong = [summary[each] for each in ("invalid", "errors", "skipped")]
    return summary["valid"] >= fewest and wrong == [0, 0, 0]


@pytest.mark.parametrize("name", MATRIX)
def test_every_object_has_the_form_of_its_kind(schemas: Path, name: str) -> None:
    told = conform(manifests(MATRIX[name]), schemas)
    assert faultless(told, 40), told


@pytest.mark.parametrize("file", EXAMPLES, ids=[each.stem for each in EXAMPLES])
def test_every_example_has_the_form_of_its_kind(schemas: Path, file: Path) -> None:
    told = conform(file.read_text(), schemas)
    assert faultless(told, 1), told


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "a misspelt field": ("Deployment", {"replcias": 2}),
    "a wrong type": ("Deployment", {"replicas": "two"}),
    "a field of ours": ("AvatarSession", {"txt": "Hello."}),
    "a field of KEDA": ("ScaledObject", {"minReplicas": 1}),
    "a field of the Prometheus operator": ("PodMonitor", {"podMetricsEndpoint": []}),
}


@pytest.mark.parametrize(("kind", "spec"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_found(schemas: Path, kind: str, spec: Json) -> None:
    objects = [*render(MATRIX["by renders"]), yaml.safe_load((ROOT / "examples/hello.yaml").read_text())]
    wrong = next(each for each in objects if each["kind"] == kind)
    told = conform(json.dumps({**wrong, "spec": {**wrong["spec"], **spec}}), schemas)
    assert told["summary"]["invalid"] == 1
    assert next(iter(spec)) in told["resources"][0]["msg"]


def faults(values: Json) -> Iterator[Fault]:
    """What kube-score does not like of a release."""
    command = [tool(KUBE_SCORE), "score", "--output-format", "json", "--kubernetes-version", OLDEST]
    command += ["--enable-optional-test", OPTIONAL, "-"]
    ran = subprocess.run(command, input=manifests(values), capture_output=True, text=True, check=False)
    release = values.get("fullnameOverride", RELEASE)
    for scored in json.loads(ran.stdout):
        name = f"NAME{scored['object_meta']['name'].removeprefix(release)}"
        for check in scored["checks"]:
            if not check["skipped"] and check["grade"] < GOOD:
                for comment in check["comments"]:
                    on = f"{scored['type_meta']['kind']} {name}"
                    yield Fault(check["check"]["id"], on, comment["summary"])


def explains(exception: Json, fault: Fault) -> bool:
    """Whether kube-score.yaml tells why this stays so."""
    return (
        exception["check"] == fault.check
        and fault.said.startswith(exception["said"])
        and (fault.on in exception["objects"] or exception["objects"] == ["*"])
    )


@pytest.fixture(scope="module")
def found() -> set[Fault]:
    """Of all values but those that turn the policies off, which have none then."""
    policies = [values for values in MATRIX.values() if values.get("networkPolicy") != {"enabled": False}]
    return {fault for values in policies for fault in faults(values)}


def test_kube_score_finds_nothing_that_is_not_explained(found: set[Fault]) -> None:
    assert {each for each in found if not any(explains(known, each) for known in EXPLAINED)} == set()


def test_nothing_is_explained_in_vain(found: set[Fault]) -> None:
    assert [known for known in EXPLAINED if not any(explains(known, each) for each in found)] == []


def test_a_bad_habit_is_found() -> None:
    told = faults({"operator": {"resources": {"limits": {"memory": None}}}})
    assert Fault("container-resources", "Deployment NAME", "Memory limit is not set") in told
