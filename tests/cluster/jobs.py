"""Manifests that the harness's own tests use."""

from __future__ import annotations

from typing import Any


def job(name: str, **spec: Any) -> dict[str, Any]:
    """A Job of one pod whose image no test pulls; `spec` is added to the Job's."""
    container = {"name": "main", "image": "example.invalid/absent:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": template, **spec},
    }


def config_map(name: str, **metadata: Any) -> Any:
    """An empty ConfigMap; JSON, which the official client takes for its models too."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets, singular: widget}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
