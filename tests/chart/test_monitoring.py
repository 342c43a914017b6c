"""What the chart watches: only metrics that there are, under the names they have."""

from __future__ import annotations

import json
import re

from prometheus_client import generate_latest
from tests.chart.charts import MATRIX, RELEASE, find, render

from avatar_gateway.metrics import Metrics as GatewayMetrics
from avatar_inference.metrics import Metrics as InferenceMetrics
from avatar_operator.cache import Cache
from avatar_operator.metrics import Metrics as OperatorMetrics

EXPOSED = b"".join(
    [
        OperatorMetrics(Cache(), lambda: 0, lambda: True).text(),
        GatewayMetrics().text(),
        generate_latest(InferenceMetrics().registry),
    ]
)
KNOWN = dict(re.findall(r"^# TYPE (\w+) (\w+)$", EXPOSED.decode(), re.M))


def exposed(name: str) -> bool:
    histogram = name.removesuffix("_bucket")
    return name in KNOWN or (histogram != name and KNOWN.get(histogram) == "histogram")


def test_only_metrics_that_there_are_are_asked_for() -> None:
    rendered = render(MATRIX["watched"])
    (text,) = find(rendered, "ConfigMap", "avatar-operator-dashboard")["data"].values()
    dashboard = [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    groups = find(rendered, "PrometheusRule", "avatar-operator")["spec"]["groups"]
    alarms = [rule["expr"] for group in groups for rule in group["rules"]]
    (trigger,) = find(render(MATRIX["by renders"]), "ScaledObject", f"{RELEASE}-inference")["spec"][
        "triggers"
    ]
    queries = [*dashboard, *alarms, trigger["metadata"]["query"]]
    asked = {name for each in queries for name in re.findall(r"\bavatar_\w+", each)}
    assert len(asked) > 8
    assert {name for name in asked if not exposed(name)} == set()


def test_a_name_that_nobody_exposes_is_seen() -> None:
    assert exposed("avatar_session_stage_seconds_bucket")
    assert not exposed("avatar_session_stage_second_bucket")
    assert not exposed("avatar_sessions_finished")


def test_every_port_that_is_scraped_is_there() -> None:
    rendered = render(MATRIX["watched"])
    ends = find(rendered, "PodMonitor", "avatar-operator")["spec"]["podMetricsEndpoints"]
    ports = {
        port["name"]
        for each in rendered
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
        for port in container["ports"]
    }
    assert {end["port"] for end in ends} <= ports
