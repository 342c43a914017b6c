"""Namespaces in which something stands in the way, and the policies of the common one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.cluster import policies
from tests.cluster.operator.causes.stage import Stage
from tests.cluster.patience import eventually
from tests.cluster.rest import Rest

SESSION = "avatars.dev/session"
KEEPS_SESSIONS = "{}-keeps-sessions"


def _quota(**hard: str) -> Callable[[Rest, str], None]:
    def prepare(rest: Rest, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/resourcequotas"
        quota = {"metadata": {"name": "none"}, "spec": {"hard": hard}}
        rest.post(path, {"apiVersion": "v1", "kind": "ResourceQuota", **quota})
        assert eventually(lambda: rest.get(f"{path}/none")["status"].get("hard"))

    return prepare


def _no_account(rest: Rest, namespace: str) -> None:
    rest.delete(f"/api/v1/namespaces/{namespace}/serviceaccounts/avatar-session")


def _limits(rest: Rest, namespace: str) -> None:
    limits = [{"type": "Container", "max": {"memory": "64Mi"}}]
    limit = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}}
    rest.post(f"/api/v1/namespaces/{namespace}/limitranges", {**limit, "spec": {"limits": limits}})


def _keeps_sessions(rest: Rest, namespace: str) -> None:
    about = policies.rules("avatars.dev", "avatarsessions", "DELETE", namespace)
    policies.refuse(rest, KEEPS_SESSIONS.format(namespace), about, "sessions are kept")
    path = f"/apis/avatars.dev/v1alpha1/namespaces/{namespace}/avatarsessions"
    rest.post(path, _session("probe"))
    policies.until_in_force(lambda: rest.delete(f"{path}/probe", dryRun="All"))


PLACES: dict[str, Callable[[Rest, str], None]] = {
    "no-pods": _quota(pods="0"),
    "no-jobs": _quota(**{"count/jobs.batch": "0"}),
    "no-jobs-yet": _quota(**{"count/jobs.batch": "0"}),
    "no-account": _no_account,
    "limits": _limits,
    "ending": _keeps_sessions,
}


def prepare(stage: Stage) -> None:
    """Before anything acts: the common namespace takes restricted pods alone, and has odd policies."""
    rest, namespace = stage.world.cluster.rest, stage.world.namespace
    # The RoleBindings of a namespace that is being deleted are gone before its sessions.
    stage.world.bind("ClusterRoleBinding", "avatar-operator")
    for place, name in stage.places.items():
        PLACES[place](rest, name)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    rest.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})
    pods, jobs = f"/api/v1/namespaces/{namespace}/pods", f"/apis/batch/v1/namespaces/{namespace}/jobs"

    name = "a-policy-against-its-pods"
    about = policies.rules("", "pods", "CREATE", namespace, **{SESSION: name})
    policies.refuse(rest, f"{namespace}-pods", about, "pods of this kind are not wanted here")
    policies.until_in_force(lambda: rest.post(pods, _pod(name), dryRun="All"))

    name = "a-policy-against-its-jobs"
    about = policies.rules("batch", "jobs", "CREATE", namespace, **{SESSION: name})
    policies.refuse(rest, f"{namespace}-jobs", about, "jobs of this kind are not wanted here")
    policies.until_in_force(lambda: rest.post(jobs, _job(name), dryRun="All"))

    name = "a-policy-that-spoils-its-pods"
    about = policies.rules("", "pods", "CREATE", namespace, **{SESSION: name})
    policies.add(rest, f"{namespace}-host", about, "Object{spec: Object.spec{hostNetwork: true}}")
    policies.until_in_force(lambda: rest.post(pods, _pod(name), dryRun="All"))

    about = policies.rules("batch", "jobs", "CREATE", namespace, **{"kueue.x-k8s.io/queue-name": "gpu"})
    policies.add(rest, f"{namespace}-kueue", about, "Object{spec: Object.spec{suspend: true}}")
    held = _job("any", **{"kueue.x-k8s.io/queue-name": "gpu"})
    policies.until_in_force(
        lambda: rest.post(jobs, held, dryRun="All"), lambda job: bool(job["spec"].get("suspend"))
    )


def _session(name: str) -> dict[str, Any]:
    kind = {"apiVersion": "avatars.dev/v1alpha1", "kind": "AvatarSession"}
    return {**kind, "metadata": {"name": name}, "spec": {"text": "Hello.", "suspend": True}}


def _pod(session: str, **labels: str) -> dict[str, Any]:
    """One that is restricted enough, so that only the policy can refuse it."""
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "a", "image": "example.invalid/a:1", "securityContext": secure}
    safe = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "securityContext": safe, "containers": [container]}
    metadata = {"name": "probe", "labels": {SESSION: session, **labels}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _job(session: str, **labels: str) -> dict[str, Any]:
    pod = _pod(session, **labels)
    template = {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": pod["metadata"],
        "spec": {"template": template},
    }
