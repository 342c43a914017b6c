"""Jobs of attempts: created once, afterwards only deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avatar_core.resources import API_VERSION
from avatar_operator.names import (
    ATTEMPT,
    COMPONENT,
    CONTAINER,
    KUEUE_QUEUE,
    MANAGED_BY,
    OPERATOR,
    SESSION_NAME,
    SESSION_UID,
    job_name,
)
from avatar_operator.objects import SecretKey, SessionView, SpecView
from avatar_operator.pod_template import Work, pod_template
from avatar_operator.pods import FINAL_EXIT_CODES
from avatar_operator.resolved import LLM_KEY_VARIABLE, SPEECH_KEY_VARIABLE, Inputs, resolved_document
from avatar_operator.settings import Settings, Telemetry

BACKOFF_LIMIT = 2
BACKSTOP_MARGIN = 15


def build_job(session: SessionView, attempt: int, inputs: Inputs, settings: Settings) -> dict[str, Any]:
    """The manifest of one attempt of a session, as JSON takes it.

    Args:
        session: whose Job it is; the controlling owner.
        attempt: counts from 1 and is part of the name, so a Job is never made twice.
        inputs: avatar, provider and earlier turns.
        settings: of the administrator.
    """
    labels = {
        **component_labels(CONTAINER, session.name, settings),
        SESSION_NAME: session.name,
        SESSION_UID: session.uid,
        ATTEMPT: str(attempt),
    }
    metadata = {
        "name": job_name(session.uid, attempt),
        "namespace": session.namespace,
        # Kueue alone suspends and resumes a Job with its label.
        "labels": {**labels, **({KUEUE_QUEUE: session.queue} if session.queue else {})},
        "ownerReferences": [owner_reference("AvatarSession", session.name, session.uid)],
    }
    template = pod_template(labels, _work(session, attempt, inputs, settings), settings)
    return job_manifest(metadata, active_deadline(session.spec), template)


def job_manifest(metadata: Mapping[str, Any], deadline: int, template: Mapping[str, Any]) -> dict[str, Any]:
    """A Job of one pod at a time, which Kubernetes itself ends after `deadline` seconds."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": BACKOFF_LIMIT,
            "activeDeadlineSeconds": deadline,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": failure_rules()},
            "template": template,
        },
    }


def active_deadline(spec: SpecView) -> int:
    """Seconds after which Kubernetes ends a Job by itself: the backstop when no operator runs."""
    return spec.start_timeout + spec.timeout + BACKSTOP_MARGIN


def failure_rules() -> list[dict[str, Any]]:
    """Disruptions don't count; final exit codes end the Job; everything else counts against backoffLimit."""
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(FINAL_EXIT_CODES)}},
    ]


def component_labels(component: str, instance: str, settings: Settings) -> dict[str, str]:
    """Labels of a Job and its pods, by which they are watched; the administrator's never override them."""
    return {
        **settings.labels,
        "app.kubernetes.io/name": f"avatar-{component}",
        "app.kubernetes.io/instance": instance,
        COMPONENT: component,
        "app.kubernetes.io/part-of": OPERATOR,
        MANAGED_BY: OPERATOR,
    }


def owner_reference(kind: str, name: str, uid: str) -> dict[str, Any]:
    """Of the controlling owner, which takes the Job along when it goes."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _work(session: SessionView, attempt: int, inputs: Inputs, settings: Settings) -> Work:
    audiences = settings.audiences
    return Work(
        container=CONTAINER,
        document=resolved_document(session, attempt, inputs, settings.fetch),
        command=settings.command,
        resources=settings.resources,
        environment=_environment(inputs, settings),
        audiences={
            "operator": audiences.operator,
            "gateway": audiences.gateway,
            "inference": audiences.inference,
        },
    )


def _environment(inputs: Inputs, settings: Settings) -> tuple[dict[str, Any], ...]:
    """Addresses, which are the administrator's, and references to keys. Nothing a session's author wrote."""
    addresses = {
        "AVATAR_OPERATOR_URL": settings.operator_url,
        "AVATAR_GATEWAY_URL": settings.gateway_url,
        "AVATAR_INFERENCE_ADDRESS": settings.inference_address,
    }
    plain: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in addresses.items()]
    provider = inputs.provider
    keys = ((LLM_KEY_VARIABLE, provider.llm_key), (SPEECH_KEY_VARIABLE, provider.speech_key))
    plain += _telemetry(settings.telemetry)
    return (*plain, *(_from_secret(name, key) for name, key in keys if key is not None))


def _telemetry(told: Telemetry) -> list[dict[str, Any]]:
    """OpenTelemetry's own variables; a namespace without the Secret sends no headers."""
    if not told.endpoint:
        return []
    found: list[dict[str, Any]] = [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": told.endpoint}]
    if told.headers_secret:
        key = {"name": told.headers_secret, "key": "headers", "optional": True}
        found.append({"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": {"secretKeyRef": key}})
    return found


def _from_secret(variable: str, key: SecretKey) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}}
