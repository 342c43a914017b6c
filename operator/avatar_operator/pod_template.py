"""What all pods beside sessions have: restricted, without rights in the cluster or access to the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avatar_operator.names import RESOLVED
from avatar_operator.settings import Resources, Settings

GRACE_SECONDS = 5
NODE_SILENT_SECONDS = 10
TOKEN_SECONDS = 3600
"""Kubelets renew tokens at 80 % of their life, and pods read them anew."""
DOCUMENT_FOLDER, TOKENS_FOLDER, SCRATCH_FOLDER = "/etc/avatar", "/var/run/secrets/avatars.dev", "/tmp"  # noqa: S108

CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

_SILENT_NODE = tuple(
    {
        "key": f"node.kubernetes.io/{state}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": NODE_SILENT_SECONDS,
    }
    for state in ("not-ready", "unreachable")
)


@dataclass(frozen=True, slots=True)
class Work:
    """What one pod is for.

    Attributes:
        container: its name; the document is the file of that name in `/etc/avatar`.
        document: all that it must know, as JSON.
        command, resources: of the container.
        environment: as Kubernetes writes it; nothing that a person of the namespace wrote.
        audiences: of its tokens, by the names of their files.
    """

    container: str
    document: str
    command: tuple[str, ...]
    resources: Resources
    environment: tuple[Mapping[str, Any], ...]
    audiences: Mapping[str, str]


def pod_template(labels: dict[str, str], work: Work, settings: Settings) -> dict[str, Any]:
    """The PodTemplateSpec of one attempt."""
    return {
        "metadata": {"labels": labels, "annotations": {RESOLVED: work.document}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "serviceAccountName": settings.service_account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_security(settings.user),
            "containers": [_container(work, settings)],
            "volumes": _volumes(work),
            **_placement(settings),
        },
    }


def pod_security(user: int) -> dict[str, Any]:
    """As the restricted Pod Security Standard asks; `user` is UID and GID."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container(work: Work, settings: Settings) -> dict[str, Any]:
    return {
        "name": work.container,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "command": list(work.command),
        # Of two with one name the last counts.
        "env": [*map(dict, settings.env), *map(dict, work.environment)],
        "resources": {"requests": dict(work.resources.requests), "limits": dict(work.resources.limits)},
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "File",  # a log's end could hold anything
        "volumeMounts": [
            {"name": work.container, "mountPath": DOCUMENT_FOLDER, "readOnly": True},
            {"name": "tokens", "mountPath": TOKENS_FOLDER, "readOnly": True},
            {"name": "scratch", "mountPath": SCRATCH_FOLDER},
        ],
    }


def _volumes(work: Work) -> list[dict[str, Any]]:
    file = {
        "path": f"{work.container}.json",
        "fieldRef": {"fieldPath": f"metadata.annotations['{RESOLVED}']"},
    }
    return [
        {"name": work.container, "downwardAPI": {"items": [file]}},
        {"name": "tokens", "projected": {"sources": [_token(*each) for each in work.audiences.items()]}},
        {"name": "scratch", "emptyDir": {"sizeLimit": work.resources.scratch}},
    ]


def _token(path: str, audience: str) -> dict[str, Any]:
    return {"serviceAccountToken": {"path": path, "audience": audience, "expirationSeconds": TOKEN_SECONDS}}


def _placement(settings: Settings) -> dict[str, Any]:
    placed: dict[str, Any] = {"tolerations": [*_SILENT_NODE, *map(dict, settings.tolerations)]}
    if settings.node_selector:
        placed["nodeSelector"] = dict(settings.node_selector)
    if settings.priority_class:
        placed["priorityClassName"] = settings.priority_class
    if settings.runtime_class:
        placed["runtimeClassName"] = settings.runtime_class
    if settings.pull_secrets:
        placed["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    return placed
