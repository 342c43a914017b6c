"""Avatars as API objects hold them, there and back; and what a pod says that prepared one. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from avatar_core.errors import AvatarError
from avatar_core.manifests import read_stored
from avatar_core.resources import Avatar
from avatar_core.resources import AvatarStatus as StoredStatus
from avatar_core.resources.base import BUNDLE_PATTERN
from avatar_operator.avatars.objects import AvatarObject, AvatarStatus, Finding, Prepared
from avatar_operator.names import PREPARE
from avatar_operator.objects import AvatarView
from avatar_operator.posts import Count, Sentence
from avatar_operator.reading import canonical
from avatar_operator.status_json import condition_json, stored_condition, without_nothing

Json = Mapping[str, Any]
FINDINGS_MAX = 32


def read_avatar(document: Json) -> AvatarObject:
    """An Avatar. What this version can't read of its spec is told in `invalid`."""
    metadata = document["metadata"]
    bundle, text, status, invalid = "", "{}", AvatarStatus(), ""
    try:
        avatar = read_stored(document)
        assert isinstance(avatar, Avatar)
        bundle, text = avatar.spec.source.bundle or "", canonical(document["spec"])
        status = _status(avatar.status)
    except AvatarError as error:
        status, invalid = _salvaged(document), str(error)
    return AvatarObject(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        resource_version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers", ())),
        bundle=bundle,
        document=text,
        status=status,
        invalid=invalid,
    )


def view_of(avatar: AvatarObject) -> AvatarView:
    """What sessions need of it. One that names a bundle needs no preparation."""
    ready, prepared = avatar.status.ready, avatar.status.prepared
    if avatar.invalid:
        return AvatarView(ready=False, message=avatar.invalid, deleting=avatar.deleting)
    if avatar.bundle:
        return AvatarView(bundle=avatar.bundle, deleting=avatar.deleting)
    if ready is None or ready.generation != avatar.generation:
        return AvatarView(ready=False, message="it is not prepared yet", deleting=avatar.deleting)
    is_ready = ready.truth == "True" and prepared is not None
    bundle = prepared.bundle if prepared else ""
    return AvatarView(
        ready=is_ready, message=ready.message, bundle=bundle if is_ready else "", deleting=avatar.deleting
    )


def to_json(status: AvatarStatus) -> dict[str, Any]:
    """A status as `status` of an Avatar; what is not known stays away."""
    prepared = status.prepared or Prepared("")
    return without_nothing(
        {
            "conditions": [condition_json(condition) for condition in status.conditions],
            "observedGeneration": status.observed_generation,
            "bundle": prepared.bundle,
            "pictures": prepared.pictures or None,
            "width": prepared.width or None,
            "height": prepared.height or None,
            "engine": prepared.engine,
            "jobName": status.job_name,
            "attempt": status.attempt or None,
            "findings": [
                {
                    "reason": finding.reason,
                    "message": finding.message,
                    "firstPicture": finding.first_picture,
                    "lastPicture": finding.last_picture,
                }
                for finding in prepared.findings
            ],
        }
    )


def read_prepared(pod: Json) -> Prepared | None:
    """The bundle that a pod tells of in its termination message: `{"avatar": {…}}`; None without one."""
    for container in pod.get("status", {}).get("containerStatuses", ()):
        if container["name"] != PREPARE:
            continue
        text = container.get("state", {}).get("terminated", {}).get("message", "")
        try:
            told = _Told.model_validate(json.loads(text)["avatar"])
        except (ValueError, TypeError, KeyError, RecursionError, ValidationError):
            return None
        return Prepared(
            told.bundle,
            told.pictures,
            told.width,
            told.height,
            told.engine,
            tuple(
                Finding(found.reason, found.message, found.first_picture, found.last_picture)
                for found in told.findings
            ),
        )
    return None


class _Message(BaseModel):
    """Fields that a newer pod sends are passed over."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="ignore", validate_by_name=True)


class _Finding(_Message):
    reason: Annotated[str, Field(max_length=128)]
    message: Sentence
    first_picture: Count = 0
    last_picture: Count = 0


def _first(found: Any) -> Any:
    return found[:FINDINGS_MAX] if isinstance(found, list) else found


class _Told(_Message):
    bundle: Annotated[str, Field(pattern=BUNDLE_PATTERN)]
    pictures: Count
    width: Count
    height: Count
    engine: Annotated[str, Field(max_length=253)]
    findings: Annotated[tuple[_Finding, ...], BeforeValidator(_first)] = ()


def _status(stored: StoredStatus) -> AvatarStatus:
    prepared = None
    if stored.bundle is not None:
        prepared = Prepared(
            stored.bundle,
            stored.pictures or 0,
            stored.width or 0,
            stored.height or 0,
            stored.engine or "",
            tuple(
                Finding(found.reason, found.message, found.first_picture, found.last_picture)
                for found in stored.findings
            ),
        )
    return AvatarStatus(
        conditions=tuple(map(stored_condition, stored.conditions)),
        observed_generation=stored.observed_generation or 0,
        prepared=prepared,
        job_name=stored.job_name or "",
        attempt=stored.attempt or 0,
    )


def _salvaged(document: Json) -> AvatarStatus:
    try:
        return _status(StoredStatus.model_validate(document.get("status", {}), extra="ignore"))
    except ValueError:
        return AvatarStatus()
