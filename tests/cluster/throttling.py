"""429 for one user, by Kubernetes' own means: a priority level without seats."""

from __future__ import annotations

import hashlib
import time

from tests.cluster.rest import Json, Rest

_API = "/apis/flowcontrol.apiserver.k8s.io/v1"
_KINDS = {"prioritylevelconfigurations": "PriorityLevelConfiguration", "flowschemas": "FlowSchema"}
_FIRST = 2  # 1 is the exempt flow's, that of administrators
_PATIENCE = 10


def throttle(rest: Rest, user: str) -> None:
    """From its return on every request of `user` is answered with 429 and Retry-After."""
    name = _name(user)
    no_seats = {
        "nominalConcurrencyShares": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    _create(rest, "prioritylevelconfigurations", name, {"type": "Limited", "limited": no_seats})
    everything = {
        "verbs": ["*"],
        "apiGroups": ["*"],
        "resources": ["*"],
        "clusterScope": True,
        "namespaces": ["*"],
    }
    rule = {
        "subjects": [{"kind": "User", "user": {"name": user}}],
        "resourceRules": [everything],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }
    flow = {"priorityLevelConfiguration": {"name": name}, "matchingPrecedence": _FIRST, "rules": [rule]}
    _create(rest, "flowschemas", name, flow)
    _wait_until_in_force(rest, name)


def unthrottle(rest: Rest, user: str) -> None:
    """Takes `throttle` back."""
    for resource in reversed(_KINDS):
        rest.delete(f"{_API}/{resource}/{_name(user)}")


def _create(rest: Rest, resource: str, name: str, spec: Json) -> None:
    body = {"apiVersion": _API.removeprefix("/apis/"), "kind": _KINDS[resource], "metadata": {"name": name}}
    rest.post(f"{_API}/{resource}", {**body, "spec": spec})


def _wait_until_in_force(rest: Rest, name: str) -> None:
    """The API server writes a flow's status once it has taken it up."""
    end = time.monotonic() + _PATIENCE
    while not rest.get(f"{_API}/flowschemas/{name}")["status"].get("conditions"):
        if time.monotonic() > end:
            raise TimeoutError(f"the API server took no notice of FlowSchema {name} within {_PATIENCE} s")
        time.sleep(0.05)


def _name(user: str) -> str:
    return f"no-seats-for-{hashlib.sha256(user.encode()).hexdigest()[:8]}"
