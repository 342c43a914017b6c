"""The Job that empties folders of the store: in the operator's own namespace, where the store's keys are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from avatar_operator.names import COMPONENT, MANAGED_BY, OPERATOR
from avatar_operator.pod_template import CONTAINER_SECURITY, pod_security

COMPONENT_NAME = "cleanup"
FOLDERS = "avatars.dev/folders"
FOLDER = "/etc/avatar"
KEPT_SECONDS = 600
DEADLINE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Folder:
    """A session's folder in the store, and the session's attempt when its clean-up was asked for."""

    namespace: str
    uid: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CleanupSettings:
    """How the pod looks that empties folders.

    Attributes:
        namespace: of the operator.
        image, pull_policy, command: of the container; it reads `/etc/avatar/folders.json`, a list of
            "namespace/uid".
        service_account: may be known to the store's cloud.
        env, env_from, volumes, mounts: how it reaches the store, as Kubernetes writes them.
        placement: what a pod's spec says of nodes, priority and Secrets for pulling, as Kubernetes writes it.
            A volume may be on one node only.
        user: UID and GID, not 0.
        resources: as Kubernetes writes them.
    """

    namespace: str
    image: str
    command: tuple[str, ...] = ("python", "-m", "avatar_session.empty_folders")
    pull_policy: str = "IfNotPresent"
    service_account: str = "default"
    env: tuple[Mapping[str, Any], ...] = ()
    env_from: tuple[Mapping[str, Any], ...] = ()
    volumes: tuple[Mapping[str, Any], ...] = ()
    mounts: tuple[Mapping[str, Any], ...] = ()
    placement: Mapping[str, Any] = field(default_factory=dict)
    user: int = 65532
    resources: Mapping[str, Any] = field(
        default_factory=lambda: {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}
    )


def build_cleanup(name: str, folders: Sequence[Folder], settings: CleanupSettings) -> dict[str, Any]:
    """The manifest of one clean-up; it has no owner, so it outlives the sessions it cleans after."""
    labels = {
        "app.kubernetes.io/name": "avatar-cleanup",
        COMPONENT: COMPONENT_NAME,
        "app.kubernetes.io/part-of": OPERATOR,
        MANAGED_BY: OPERATOR,
    }
    told = json.dumps([f"{folder.namespace}/{folder.uid}" for folder in folders])
    asked = json.dumps([[folder.namespace, folder.uid, folder.attempt] for folder in folders])
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": labels,
            "annotations": {FOLDERS: asked},
        },
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {"labels": labels, "annotations": {FOLDERS: told}},
                "spec": _pod(settings),
            },
        },
    }


def folders_of(job: Mapping[str, Any]) -> tuple[Folder, ...]:
    """The folders that a clean-up Job empties; none where the annotation is not ours."""
    text = job["metadata"].get("annotations", {}).get(FOLDERS, "[]")
    try:
        return tuple(Folder(str(ns), str(uid), int(attempt)) for ns, uid, attempt in json.loads(text))
    except (ValueError, TypeError):
        return ()


def _pod(settings: CleanupSettings) -> dict[str, Any]:
    annotation = {"fieldPath": f"metadata.annotations['{FOLDERS}']"}
    folders = {"downwardAPI": {"items": [{"path": "folders.json", "fieldRef": annotation}]}}
    return {
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(settings.user),
        **settings.placement,
        "containers": [
            {
                "name": COMPONENT_NAME,
                "image": settings.image,
                "imagePullPolicy": settings.pull_policy,
                "command": list(settings.command),
                "env": [dict(entry) for entry in settings.env],
                "envFrom": [dict(entry) for entry in settings.env_from],
                "resources": dict(settings.resources),
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [
                    {"name": "folders", "mountPath": FOLDER, "readOnly": True},
                    *(dict(mount) for mount in settings.mounts),
                ],
            }
        ],
        "volumes": [{"name": "folders", **folders}, *(dict(volume) for volume in settings.volumes)],
    }
