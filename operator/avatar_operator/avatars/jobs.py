"""The Job that prepares an avatar: fetches its source, and has the inference server make a bundle of it."""

from __future__ import annotations

import json
from typing import Any

from avatar_operator.avatars.objects import AvatarObject
from avatar_operator.jobs import BACKSTOP_MARGIN, component_labels, job_manifest, owner_reference
from avatar_operator.names import (
    ATTEMPT,
    AVATAR_NAME,
    AVATAR_UID,
    GENERATION,
    PREPARE,
    preparation_name,
)
from avatar_operator.pod_template import Work, pod_template
from avatar_operator.resolved import fetch_document
from avatar_operator.settings import Settings

LABEL_LENGTH = 63


def build_preparation(avatar: AvatarObject, attempt: int, settings: Settings) -> dict[str, Any]:
    """The manifest of one attempt.

    Args:
        avatar: whose Job it is; the controlling owner.
        attempt: counts from 1 for each generation; both are part of the name.
        settings: of the administrator.
    """
    # A label holds less than a name may.
    name = avatar.name if len(avatar.name) <= LABEL_LENGTH else avatar.uid
    labels = {
        **component_labels(PREPARE, name, settings),
        AVATAR_NAME: name,
        AVATAR_UID: avatar.uid,
        GENERATION: str(avatar.generation),
        ATTEMPT: str(attempt),
    }
    metadata = {
        "name": preparation_name(avatar.uid, avatar.generation, attempt),
        "namespace": avatar.namespace,
        "labels": labels,
        "ownerReferences": [owner_reference("Avatar", avatar.name, avatar.uid)],
    }
    how = settings.preparation
    template = pod_template(labels, _work(avatar, settings), settings)
    return job_manifest(metadata, how.start_timeout + how.timeout + BACKSTOP_MARGIN, template)


def preparation_document(avatar: AvatarObject, settings: Settings) -> str:
    """All that the pod must know, as canonical JSON."""
    document = {
        "name": avatar.name,
        "namespace": avatar.namespace,
        "uid": avatar.uid,
        "generation": avatar.generation,
        "spec": json.loads(avatar.document),
        "fetch": fetch_document(settings.fetch),
        "timeoutSeconds": settings.preparation.timeout,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _work(avatar: AvatarObject, settings: Settings) -> Work:
    address = {"name": "AVATAR_INFERENCE_ADDRESS", "value": settings.inference_address}
    return Work(
        container=PREPARE,
        document=preparation_document(avatar, settings),
        command=settings.preparation.command,
        resources=settings.preparation.resources,
        environment=(address,),
        audiences={"inference": settings.audiences.inference},
    )
