"""Helm itself, as a test wants it: values in, objects out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.operators import CHART

Json = dict[str, Any]
NAMESPACE, RELEASE = "avatars", "avatar-operator"
HELM = Path(sys.executable).with_name("helm")
DIGEST = "sha256:" + "0" * 64
TOLERATIONS = [{"key": "gpu", "operator": "Exists"}]
ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/videos"}
SOMEWHERE: Json = {
    "nodeSelector": {"pool": "one"},
    "tolerations": TOLERATIONS,
    "priorityClassName": "system-cluster-critical",
}
OURS: Json = {"extraEnv": [{"name": "LOG", "value": "1"}], **SOMEWHERE}
MATRIX: dict[str, Json] = {
    "nothing": {},
    "musetalk": {
        "engine": "musetalk",
        "inference": {"gpus": 2, "weights": {"existingClaim": "weights"}, "runtimeClassName": "nvidia"},
    },
    "s3": {
        "store": {
            "type": "url",
            "url": "s3://videos/avatars",
            "existingSecret": "keys",
            "env": [{"name": "AWS_REGION", "value": "eu-west-3"}],
            "serviceAccountAnnotations": ROLE,
        },
        "gateway": {"replicas": 3},
    },
    "own claim of many": {
        "store": {"pvc": {"existingClaim": "videos", "accessModes": ["ReadWriteMany"]}},
        "gateway": {"replicas": 2},
    },
    "one namespace": {"namespaces": ["team"]},
    "rotated key": {
        "links": {"existingSecret": "k2", "keyId": "2", "previous": {"secret": "k1", "keyId": "1"}}
    },
    "viewers": {"gateway": {"viewers": [{"kind": "Group", "name": "people"}]}},
    "by cpu": {"inference": {"autoscaling": {"by": "cpu"}}},
    "by renders": {
        "engine": "musetalk",
        "monitoring": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}},
        "inference": {
            "autoscaling": {"by": "renders", "prometheus": "http://prometheus.monitoring.svc:9090"}
        },
    },
    "closed": {
        "namespaces": ["team"],
        "engine": "musetalk",
        "store": {"type": "url", "url": "s3://videos/avatars"},
        "sessions": {"fetch": {"refuse": [], "allow": ["10.9.0.0/16"]}},
        "networkPolicy": {
            "egress": {
                "enabled": True,
                "apiServer": {"ports": [6443], "networks": ["10.0.0.1/32"]},
                "store": {"ports": [9000], "networks": ["10.0.3.0/24"]},
                "sessionPods": [{"to": [{"namespaceSelector": {"matchLabels": {"models": "yes"}}}]}],
                "everyPod": [{"ports": [{"port": 4317}]}],
            }
        },
    },
    "several": {"inference": {"replicas": 2, "maxBatch": 4}, "operator": {"replicas": 3}},
    "all elsewhere": {
        "fullnameOverride": "faces",
        "image": {"repository": "registry.example/a", "digest": DIGEST, "pullPolicy": "Always"},
        "imagePullSecrets": ["pulling"],
        "operator": OURS,
        "gateway": OURS,
        "inference": OURS,
        "sessions": {
            **SOMEWHERE,
            "labels": {"team": "a"},
            "extraEnv": [{"name": "LOG", "value": "1"}],
            "fetch": {"refuse": ["203.0.113.0/24"], "allow": []},
        },
    },
    "least": {
        "crds": {"enabled": False},
        "sweeper": {"enabled": False},
        "aggregateRoles": False,
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "operator": {"replicas": 1},
        "inference": {"authentication": False},
    },
    "watched": {"monitoring": {"enabled": True}},
    "traced": {"telemetry": {"endpoint": "http://collector:4318", "headersSecret": "otlp"}},
}


class HelmError(Exception):
    """Helm refused; the message is what it said."""


def helm(*arguments: str, values: Json | None = None) -> str:
    """Runs Helm, with values if given, and returns its output.

    Raises:
        HelmError: it failed.
    """
    given = [] if values is None else ["--values", "-"]
    command = [str(HELM), *arguments, *given]
    ran = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise HelmError(ran.stderr)
    return ran.stdout


def manifests(values: Json | None = None, release: str = RELEASE, namespace: str = NAMESPACE) -> str:
    """What Helm makes of the chart: hooks and the test's pod too."""
    return helm("template", release, str(CHART), "--namespace", namespace, values=values)


def render(values: Json | None = None, release: str = RELEASE, namespace: str = NAMESPACE) -> list[Json]:
    """Every object of a release."""
    text = manifests(values, release, namespace)
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def find(objects: list[Json], kind: str, name: str) -> Json:
    """The one object of that kind and name."""
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pods(objects: list[Json]) -> Iterator[tuple[str, Json]]:
    """The spec of every pod, with the name of what it is of."""
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if each["kind"] in {"Deployment", "Job", "CronJob"}:
            spec = spec["template"]["spec"]
        if "containers" in spec:
            yield each["metadata"]["name"], spec
