"""The CustomResourceDefinitions, generated from the models: `python -m avatar_operator.crds` writes them.

The files are committed for Helm and for those who read; a test holds them against the models.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from avatar_core.resources import (
    GROUP,
    VERSION,
    Avatar,
    AvatarProvider,
    AvatarSession,
    Resource,
)
from avatar_core.resources.rules import VALIDATIONS
from avatar_operator.schemas import structural, without_defaults

FOLDER = Path(__file__).parents[2] / "charts/avatar-operator/files/crds"
CATEGORY = "avatar-operator"
"""`kubectl get avatar-operator` lists all three kinds; `avatars` is the name of one of them."""
WIDE = 1
"""Priority of the columns that only `-o wide` shows."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """What a CRD says beside its schema.

    Attributes:
        model: of one object.
        short: name for people in a hurry.
        columns: of `kubectl get`.
        selectable: fields that `--field-selector` knows.
    """

    model: type[Resource]
    short: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Such as "AvatarSession"."""
        return self.model.__name__

    @property
    def plural(self) -> str:
        """Such as "avatarsessions"."""
        return f"{self.name.lower()}s"


def _condition(kind: str, part: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{part}'


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

KINDS = (
    Kind(
        AvatarSession,
        "avs",
        (
            Column("Phase", ".status.phase"),
            Column("Stage", ".status.stage"),
            Column("Progress", ".status.progress.percent", "integer"),
            Column("Engine", ".status.engine"),
            Column("Seconds", ".status.video.seconds", "number"),
            _AGE,
            Column("Reason", _condition("Succeeded", "reason"), priority=WIDE),
            Column("Queue", ".status.queuePosition", "integer", WIDE),
            Column("Attempt", ".status.attempt", "integer", WIDE),
            Column("Took", ".status.timings.totalSeconds", "number", WIDE),
            # As text: kubectl shows how long ago a date was, and this one is to come.
            Column("Expires", ".status.video.expiresAt", "string", WIDE),
            Column("Message", _condition("Succeeded", "message"), priority=WIDE),
        ),
        (".status.phase", ".spec.avatarRef.name", ".spec.providerRef.name", ".spec.continueFrom.name"),
    ),
    Kind(
        Avatar,
        "av",
        (
            Column("Ready", _condition("Ready", "status")),
            Column("Reason", _condition("Ready", "reason")),
            Column("Pictures", ".status.pictures", "integer"),
            Column("Engine", ".status.engine"),
            _AGE,
            Column("Width", ".status.width", "integer", WIDE),
            Column("Height", ".status.height", "integer", WIDE),
            Column("Bundle", ".status.bundle", priority=WIDE),
            Column("Message", _condition("Ready", "message"), priority=WIDE),
        ),
        (".status.bundle",),
    ),
    Kind(
        AvatarProvider,
        "avp",
        (
            Column("Ready", _condition("Ready", "status")),
            Column("LLM", ".spec.llm.model"),
            Column("Speech", ".spec.speech.type"),
            _AGE,
            Column("URL", ".spec.llm.baseURL", priority=WIDE),
            Column("Reason", _condition("Ready", "reason"), priority=WIDE),
            Column("Message", _condition("Ready", "message"), priority=WIDE),
        ),
    ),
)


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _object_schema(kind.model)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def definitions() -> dict[str, dict[str, Any]]:
    """All of them, by the names of their files."""
    return {f"{kind.plural}.yaml": definition(kind) for kind in KINDS}


class _Dumper(yaml.SafeDumper):
    """Writes everything out: anchors are hard to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml(document: dict[str, Any]) -> str:
    """The text of a file, the same on every run."""
    head = "# Generated from the models by `python -m avatar_operator.crds`; changes here are lost.\n"
    return head + yaml.dump(document, Dumper=_Dumper, width=110, sort_keys=False, allow_unicode=True)


def write(folder: Path = FOLDER) -> None:
    """Writes every file into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in definitions().items():
        (folder / name).write_text(as_yaml(document), encoding="utf-8")


def _column(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return entry | ({"priority": column.priority} if column.priority else {})


def _object_schema(model: type[Resource]) -> dict[str, Any]:
    """The schema of a whole object; what the API server knows itself is left to it."""
    schema = structural(model)
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    found: dict[str, Any] = {
        "description": schema["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # Named so that a rule about it can say where it applies.
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": spec,
            # Defaults would add to what the operator wrote, and it would write again.
            "status": without_defaults(status),
        },
    }
    return found | ({VALIDATIONS: schema[VALIDATIONS]} if VALIDATIONS in schema else {})


if __name__ == "__main__":
    if any(argument.startswith("-") for argument in sys.argv[1:]):
        sys.exit("usage: python -m avatar_operator.crds [FOLDER]")
    write(*(Path(folder) for folder in sys.argv[1:2]))
