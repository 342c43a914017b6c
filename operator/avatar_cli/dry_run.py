"""Asks an API server whether it would take manifests, without changing anything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.config import ConfigException

from avatar_cli.linting import Checked, Finding, as_findings
from avatar_core.errors import AvatarError, Reason
from avatar_core.mistakes import Mistake
from avatar_core.resources import GROUP, VERSION

FIELD_MANAGER = "avatar-lint"
TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where to ask.

    Attributes:
        api: of its API server.
        namespace: for manifests that name none.
    """

    api: client.CustomObjectsApi
    namespace: str


def connect(kubeconfig: Path | None, context: str | None, namespace: str | None) -> Cluster:
    """The cluster kubectl would talk to.

    Args:
        kubeconfig: instead of $KUBECONFIG or ~/.kube/config.
        context: instead of the current one.
        namespace: instead of the context's.

    Raises:
        AvatarError: CLUSTER_UNAVAILABLE, when there is no such configuration.
    """
    path = str(kubeconfig) if kubeconfig else None
    try:
        contexts, current = config.list_kube_config_contexts(path)  # type: ignore[no-untyped-call]
        chosen = next((one for one in contexts if one["name"] == context), current)
        found = config.new_client_from_config(path, context)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError, TypeError) as error:
        message = f"no usable kubeconfig ({error}); give --kubeconfig, or set KUBECONFIG"
        raise AvatarError(Reason.CLUSTER_UNAVAILABLE, message) from None
    own = chosen.get("context", {}).get("namespace")
    return Cluster(client.CustomObjectsApi(found), namespace or own or "default")


def dry_run(cluster: Cluster, checked: Sequence[Checked]) -> Iterator[Finding]:
    """What the API server says against documents that were found good here.

    Raises:
        AvatarError: CLUSTER_UNAVAILABLE, when it does not answer.
    """
    for one in checked:
        yield from as_findings(_ask(cluster, one), one.source, one.document)


def _ask(cluster: Cluster, checked: Checked) -> list[Mistake]:
    resource, document = checked.resource, checked.document.value
    given = "namespace" in resource.metadata.model_fields_set
    try:
        # Server-side apply says the same of a new object and of a change to one that is there.
        cluster.api.patch_namespaced_custom_object(
            GROUP,
            VERSION,
            resource.metadata.namespace if given else cluster.namespace,
            f"{resource.kind.lower()}s",
            resource.metadata.name,
            {key: value for key, value in document.items() if key != "status"},
            dry_run="All",
            field_manager=FIELD_MANAGER,
            field_validation="Strict",
            force=True,
            _content_type="application/apply-patch+yaml",
            _request_timeout=TIMEOUT_SECONDS,
        )
    except client.ApiException as error:
        return _mistakes(error)
    except urllib3.exceptions.HTTPError as error:
        message = f"the API server does not answer: {error}"
        raise AvatarError(Reason.CLUSTER_UNAVAILABLE, message) from None
    return []


def _mistakes(error: client.ApiException) -> list[Mistake]:
    """Each cause an API server names, or its whole message when it names none."""
    try:
        status: dict[str, Any] = json.loads(error.body or "")
    except ValueError:
        status = {}
    if error.status == 404 and not status.get("details", {}).get("name"):
        message = f"the cluster knows no {GROUP}/{VERSION}: install charts/avatar-operator/files/crds first"
        return [Mistake((), message)]
    causes = status.get("details", {}).get("causes", [])
    found = [Mistake(_path(cause.get("field", "")), cause.get("message", "")) for cause in causes]
    return found or [Mistake((), f"the API server says: {status.get('message') or error.reason}")]


def _path(field: str) -> tuple[str, ...]:
    return tuple(part for part in field.split(".") if part) if field != "<nil>" else ()
