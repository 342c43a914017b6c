"""Admission policies of a test: what an administrator's policies refuse or add, without a webhook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.cluster.patience import eventually
from tests.cluster.rest import Rest, RestError

Json = dict[str, Any]
_GROUP = "admissionregistration.k8s.io"


def rules(group: str, resource: str, operation: str, namespace: str, **labels: str) -> Json:
    """What a policy is about: one operation on one kind in one namespace, with labels if given."""
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": [operation], "resources": [resource]}
    return {
        "resourceRules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {"matchLabels": labels},
    }


def refuse(rest: Rest, name: str, about: Json, message: str) -> None:
    """Makes a policy that refuses."""
    validations = [{"expression": "false", "message": message}]
    spec = {"failurePolicy": "Fail", "matchConstraints": about, "validations": validations}
    _create(rest, "ValidatingAdmissionPolicy", name, spec, {"validationActions": ["Deny"]})


def add(rest: Rest, name: str, about: Json, expression: str) -> None:
    """Makes a policy that changes what is created, by an apply configuration in CEL."""
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": about,
        "mutations": [mutation],
    }
    _create(rest, "MutatingAdmissionPolicy", name, spec, {})


def lift(rest: Rest, kind: str, name: str) -> None:
    """Takes a policy away."""
    rest.delete(f"/apis/{_GROUP}/v1/{kind.lower()}bindings/{name}")
    rest.delete(f"/apis/{_GROUP}/v1/{_plural(kind)}/{name}")


def until_in_force(request: Callable[[], Json], changed: Callable[[Json], bool] = lambda _: False) -> None:
    """Waits until a dry run is refused, or its answer is changed: an API server learns of policies late."""

    def holds() -> bool:
        try:
            return changed(request())
        except RestError as error:
            return error.code in (403, 422)

    assert eventually(holds)


def _create(rest: Rest, kind: str, name: str, spec: Json, binding: Json) -> None:
    document = {"apiVersion": f"{_GROUP}/v1", "metadata": {"name": name}}
    rest.post(f"/apis/{_GROUP}/v1/{_plural(kind)}", {**document, "kind": kind, "spec": spec})
    bound = {**document, "kind": f"{kind}Binding", "spec": {"policyName": name, **binding}}
    rest.post(f"/apis/{_GROUP}/v1/{kind.lower()}bindings", bound)


def _plural(kind: str) -> str:
    return f"{kind.lower().removesuffix('y')}ies"
