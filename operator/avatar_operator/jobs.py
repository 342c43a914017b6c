"""The Job of one attempt: created once, afterwards only deleted."""

from __future__ import annotations

from typing import Any

from avatar_core.resources import API_VERSION
from avatar_operator.names import (
    ATTEMPT,
    COMPONENT,
    KUEUE_QUEUE,
    MANAGED_BY,
    OPERATOR,
    SESSION_NAME,
    SESSION_UID,
    job_name,
)
from avatar_operator.objects import SessionView, SpecView
from avatar_operator.pod_template import pod_template
from avatar_operator.pods import FINAL_EXIT_CODES
from avatar_operator.resolved import Inputs, resolved_document
from avatar_operator.settings import Settings

BACKOFF_LIMIT = 2
BACKSTOP_MARGIN = 15
COMPONENT_NAME = "session"


def build_job(session: SessionView, attempt: int, inputs: Inputs, settings: Settings) -> dict[str, Any]:
    """The manifest of one attempt, as JSON takes it.

    Args:
        session: whose Job it is; the controlling owner.
        attempt: counts from 1 and is part of the name, so a Job is never made twice.
        inputs: avatar, provider and earlier turns.
        settings: of the administrator.
    """
    labels = _labels(session, attempt, settings)
    document = resolved_document(session, attempt, inputs)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(session.uid, attempt),
            "namespace": session.namespace,
            # Kueue alone suspends and resumes a Job with its label.
            "labels": {**labels, **({KUEUE_QUEUE: session.queue} if session.queue else {})},
            "ownerReferences": [_owner(session)],
        },
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": BACKOFF_LIMIT,
            "activeDeadlineSeconds": active_deadline(session.spec),
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": failure_rules()},
            "template": pod_template(labels, document, inputs, settings),
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


def _labels(session: SessionView, attempt: int, settings: Settings) -> dict[str, str]:
    return {
        **settings.labels,
        "app.kubernetes.io/name": "avatar-session",
        "app.kubernetes.io/instance": session.name,
        COMPONENT: COMPONENT_NAME,
        "app.kubernetes.io/part-of": OPERATOR,
        MANAGED_BY: OPERATOR,
        SESSION_NAME: session.name,
        SESSION_UID: session.uid,
        ATTEMPT: str(attempt),
    }


def _owner(session: SessionView) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "AvatarSession",
        "name": session.name,
        "uid": session.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
