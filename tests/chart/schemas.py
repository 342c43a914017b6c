"""JSON schemas as kubeconform reads them, a file a kind: of what an API server publishes, and of definitions.

Strict: a field that a kind does not have is a mistake, as for kubectl; an API server alone would drop it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
"""How kubeconform is told of the files' names."""
SHARED = "_definitions.json"
# What an API server takes, and its own document says less of.
_LOOSE = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
}
_ALWAYS: Json = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


def write_builtin(openapi: Json, folder: Path) -> None:
    """Writes Kubernetes' own kinds, from `/openapi/v2` of an API server."""
    definitions = {name: _closed(each) for name, each in openapi["definitions"].items()} | _LOOSE
    text = json.dumps({"definitions": definitions}).replace('"#/definitions/', f'"{SHARED}#/definitions/')
    (folder / SHARED).write_text(text)
    for name, each in definitions.items():
        for kind in each.get("x-kubernetes-group-version-kind", ()):
            reference = {"$ref": f"{SHARED}#/definitions/{name}"}
            _file(folder, kind["group"], kind["version"], kind["kind"]).write_text(json.dumps(reference))


def write_custom(definitions: Iterable[Json], folder: Path) -> None:
    """Writes the kinds of custom resource definitions, every version of them."""
    for definition in definitions:
        spec = definition["spec"]
        for version in spec["versions"]:
            schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
            schema["properties"] = _ALWAYS | schema["properties"]
            closed = _closed(schema)
            # All metadata that Kubernetes knows is allowed, whatever a definition says of a name.
            closed["properties"]["metadata"].pop("additionalProperties", None)
            file = _file(folder, spec["group"], version["name"], spec["names"]["kind"])
            file.write_text(json.dumps(closed))


def _file(folder: Path, group: str, version: str, kind: str) -> Path:
    parts = [kind, group.partition(".")[0], version] if group else [kind, version]
    return folder / f"{'-'.join(parts).lower()}.json"


def _closed(schema: Json) -> Json:
    """The schema without room for unknown fields; where Kubernetes keeps those, there is."""
    closed = dict(schema)
    if schema.get("x-kubernetes-int-or-string"):
        closed["type"] = ["string", "integer"]
    if schema.get("properties"):
        closed["properties"] = {key: _closed(each) for key, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            closed[key] = _closed(schema[key])
    return closed
