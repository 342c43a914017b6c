"""From the JSON of API objects to the plain values that decisions rest on. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from avatar_core.errors import AvatarError, Reason
from avatar_core.manifests import read_stored
from avatar_core.resources import AvatarSession, SessionSpec, SessionStatus
from avatar_operator.names import ATTEMPT, CONTAINER, FINALIZER, GENERATION, KUEUE_QUEUE, PREPARE
from avatar_operator.objects import ContainerView, JobView, PodView, Report, SessionView, SpecView
from avatar_operator.posts import read_result, writable
from avatar_operator.status import Result
from avatar_operator.status_json import from_stored

Json = Mapping[str, Any]


def seconds(time: str | None) -> int | None:
    """A time as Kubernetes writes it, in Unix seconds."""
    return None if not time else int(datetime.fromisoformat(time).timestamp())


def read_session(document: Json) -> SessionView:
    """An AvatarSession. What this version can't read of its spec is told in `invalid`."""
    metadata = document["metadata"]
    spec, status, invalid = SpecView(), SessionStatus(), ""
    try:
        stored = read_stored(document)
        assert isinstance(stored, AvatarSession)
        spec, status = _spec(stored.spec, document["spec"]), stored.status
    except AvatarError as error:
        spec, status, invalid = _salvaged(document), _salvaged_status(document), str(error)
    return SessionView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        created=seconds(metadata["creationTimestamp"]) or 0,
        generation=metadata.get("generation", 1),
        resource_version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        kept=FINALIZER in metadata.get("finalizers", ()),
        queue=metadata.get("labels", {}).get(KUEUE_QUEUE, ""),
        spec=spec,
        status=from_stored(status),
        invalid=invalid,
    )


def read_job(document: Json) -> JobView:
    """A Job."""
    metadata, status = document["metadata"], document.get("status", {})
    over = next(
        (c for c in status.get("conditions", ()) if c["type"] in ("Complete", "Failed") and _is_true(c)), None
    )
    labels = metadata.get("labels", {})
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=_controller(metadata),
        attempt=_number(labels.get(ATTEMPT, "")),
        generation=_number(labels.get(GENERATION, "")),
        created=seconds(metadata["creationTimestamp"]) or 0,
        started=seconds(status.get("startTime")),
        suspended=bool(document["spec"].get("suspend")),
        finished=over["type"] if over else "",
        failure=over.get("reason", "") if over and over["type"] == "Failed" else "",
        deleting="deletionTimestamp" in metadata,
    )


def _number(label: str) -> int:
    return int(label) if label.isdecimal() and label.isascii() else 0


def read_pod(document: Json) -> tuple[PodView, Result | None]:
    """A pod, and the result of a session in its termination message, if it left one."""
    metadata, status = document["metadata"], document.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    containers = (c for c in status.get("containerStatuses", ()) if c["name"] in (CONTAINER, PREPARE))
    found: Json = next(containers, {})
    container, result = _container(found.get("state", {}))
    scheduled = conditions.get("PodScheduled", {})
    refused = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    pod = PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        job_uid=_controller(metadata),
        created=seconds(metadata["creationTimestamp"]) or 0,
        phase=status.get("phase", "Pending"),
        gone_by=seconds(metadata.get("deletionTimestamp")),
        ready=_ready(conditions.get("Ready", {}), container),
        disrupted=_is_true(conditions.get("DisruptionTarget", {})),
        unschedulable=(scheduled.get("message") or "no node fits") if refused else "",
        reason=status.get("reason", ""),
        container=container,
    )
    return pod, result


def _spec(spec: SessionSpec, document: Any) -> SpecView:
    return SpecView(
        source="prompt" if spec.prompt is not None else "text" if spec.text is not None else "audio",
        document=canonical(document),
        avatar_ref=spec.avatar_ref.name if spec.avatar_ref else "",
        provider_ref=spec.provider_ref.name if spec.provider_ref else "",
        continue_from=spec.continue_from.name if spec.continue_from else "",
        start_timeout=spec.start_timeout_seconds,
        timeout=spec.timeout_seconds,
        video_ttl=spec.video_ttl_seconds,
        session_ttl=spec.ttl_seconds_after_finished,
        suspend=spec.suspend,
        cancel=spec.cancel,
        retry=spec.retry,
    )


def _salvaged(document: Json) -> SpecView:
    """Of a spec that can't be read: what ends it must work all the same."""
    spec = document.get("spec")
    ttl = spec.get("ttlSecondsAfterFinished") if isinstance(spec, Mapping) else None
    return SpecView(session_ttl=ttl if isinstance(ttl, int) else None)


def _salvaged_status(document: Json) -> SessionStatus:
    try:
        return SessionStatus.model_validate(document.get("status", {}), extra="ignore")
    except ValueError:
        return SessionStatus()


def _container(state: Json) -> tuple[ContainerView, Result | None]:
    if "waiting" in state:
        waiting = state["waiting"]
        return ContainerView(waiting.get("reason", ""), waiting.get("message", "")), None
    if "running" in state:
        return ContainerView(started_at=seconds(state["running"].get("startedAt"))), None
    ended = state.get("terminated")
    if ended is None:
        return ContainerView(), None
    report, result = _message(ended.get("message", ""))
    container = ContainerView(
        started_at=seconds(ended.get("startedAt")),
        ended_at=seconds(ended.get("finishedAt")),
        exit_code=ended["exitCode"],
        end_reason=ended.get("reason", ""),
        report=report,
    )
    return container, result


def _message(text: str) -> tuple[Report | None, Result | None]:
    """A termination message: `{"result": {…}}` or `{"reason": …, "message": …}`; anything else is nothing."""
    try:
        document = json.loads(text)
        if "result" in document:
            return None, read_result(document["result"])
        return Report(Reason(document["reason"]), writable(str(document["message"]), 1024)), None
    except (ValueError, TypeError, KeyError, RecursionError, AvatarError):
        return None, None


def _ready(condition: Json, container: ContainerView) -> Literal["True", "False", "Unknown"]:
    """A kubelet gives a reason for False; without one it was written for a node that is not heard of."""
    status = condition.get("status", "False")
    runs = container.started_at is not None and container.ended_at is None
    if status == "Unknown" or (status == "False" and runs and not condition.get("reason")):
        return "Unknown"
    return "True" if status == "True" else "False"


def _controller(metadata: Json) -> str:
    owners = (owner["uid"] for owner in metadata.get("ownerReferences", ()) if owner.get("controller"))
    return next(owners, "")


def _is_true(condition: Json) -> bool:
    return condition.get("status") == "True"


def canonical(document: Any) -> str:
    """JSON that is the same for the same values."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
