"""The pod of a session: restricted, without rights in the cluster and without access to the store."""

from __future__ import annotations

from typing import Any

from avatar_operator.names import CONTAINER, RESOLVED
from avatar_operator.objects import SecretKey
from avatar_operator.resolved import LLM_KEY_VARIABLE, SPEECH_KEY_VARIABLE, Inputs
from avatar_operator.settings import Settings

GRACE_SECONDS = 5
NODE_SILENT_SECONDS = 10
TOKEN_SECONDS = 3600
"""Kubelets renew tokens at 80 % of their life, and pods read them anew."""
SESSION_FOLDER, TOKENS_FOLDER, SCRATCH_FOLDER = "/etc/avatar", "/var/run/secrets/avatars.dev", "/tmp"  # noqa: S108

_SILENT_NODE = tuple(
    {
        "key": f"node.kubernetes.io/{state}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": NODE_SILENT_SECONDS,
    }
    for state in ("not-ready", "unreachable")
)


def pod_template(labels: dict[str, str], document: str, inputs: Inputs, settings: Settings) -> dict[str, Any]:
    """The PodTemplateSpec of one attempt; `document` is what the pod reads as a file."""
    return {
        "metadata": {"labels": labels, "annotations": {RESOLVED: document}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "serviceAccountName": settings.service_account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": _pod_security(settings),
            "containers": [_container(inputs, settings)],
            "volumes": _volumes(settings),
            **_placement(settings),
        },
    }


def _pod_security(settings: Settings) -> dict[str, Any]:
    return {
        "runAsNonRoot": True,
        "runAsUser": settings.user,
        "runAsGroup": settings.user,
        "fsGroup": settings.user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container(inputs: Inputs, settings: Settings) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "command": list(settings.command),
        "env": _environment(inputs, settings),
        "resources": {
            "requests": dict(settings.resources.requests),
            "limits": dict(settings.resources.limits),
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",  # a log's end could hold anything
        "volumeMounts": [
            {"name": "session", "mountPath": SESSION_FOLDER, "readOnly": True},
            {"name": "tokens", "mountPath": TOKENS_FOLDER, "readOnly": True},
            {"name": "scratch", "mountPath": SCRATCH_FOLDER},
        ],
    }


def _environment(inputs: Inputs, settings: Settings) -> list[dict[str, Any]]:
    """Addresses, which are the administrator's, and references to keys. Nothing a session's author wrote."""
    addresses = {
        "AVATAR_OPERATOR_URL": settings.operator_url,
        "AVATAR_GATEWAY_URL": settings.gateway_url,
        "AVATAR_INFERENCE_ADDRESS": settings.inference_address,
    }
    plain: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in addresses.items()]
    provider = inputs.provider
    keys = ((LLM_KEY_VARIABLE, provider.llm_key), (SPEECH_KEY_VARIABLE, provider.speech_key))
    return plain + [_from_secret(name, key) for name, key in keys if key is not None]


def _from_secret(variable: str, key: SecretKey) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}}


def _volumes(settings: Settings) -> list[dict[str, Any]]:
    audiences = settings.audiences
    tokens = {
        "operator": audiences.operator,
        "gateway": audiences.gateway,
        "inference": audiences.inference,
    }
    annotation = {"fieldPath": f"metadata.annotations['{RESOLVED}']"}
    return [
        {"name": "session", "downwardAPI": {"items": [{"path": "session.json", "fieldRef": annotation}]}},
        {"name": "tokens", "projected": {"sources": [_token(*token) for token in tokens.items()]}},
        {"name": "scratch", "emptyDir": {"sizeLimit": settings.resources.scratch}},
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
