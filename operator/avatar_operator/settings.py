"""What an administrator decides about session Jobs; comes from the chart's values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Links(Protocol):
    """Signs links to videos: with one key, the same arguments give the same link."""

    def url(self, namespace: str, uid: str, expires_at: int) -> str:
        """A link to the video of a session, good until `expires_at` (Unix seconds)."""
        ...


@dataclass(frozen=True, slots=True)
class Audiences:
    """Whom a session's pod may talk to: the audience of each of its three tokens."""

    operator: str = "operator.avatars.dev"
    gateway: str = "gateway.avatars.dev"
    inference: str = "inference.avatars.dev"


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of a session's container, as Kubernetes writes quantities."""

    requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "250m", "memory": "256Mi"})
    limits: Mapping[str, str] = field(default_factory=lambda: {"memory": "512Mi"})
    scratch: str = "1Gi"


@dataclass(frozen=True, slots=True)
class Preparation:
    """How pods look that prepare avatars; everything else is as for sessions.

    Attributes:
        command: prepares one avatar; reads `/etc/avatar/prepare.json`.
        timeout: seconds from the container's start.
        start_timeout: seconds to find a node and pull the image.
    """

    command: tuple[str, ...] = ("python", "-m", "avatar_session.prepare")
    resources: Resources = field(default_factory=Resources)
    timeout: int = 600
    start_timeout: int = 600


@dataclass(frozen=True, slots=True)
class Fetch:
    """Where pods may fetch files from, besides public addresses; as networks such as "10.0.0.0/8".

    Attributes:
        refuse: never: the cluster's own ranges, where they are public ones.
        allow: though they are private: an administrator's own object store.
    """

    refuse: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where session pods send their traces.

    Attributes:
        endpoint: for OTLP over HTTP; empty: they make none.
        headers_secret: in the session's namespace; its `headers`, where there is one, go with each request.
    """

    endpoint: str = ""
    headers_secret: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """How session pods look and where they find the others.

    Attributes:
        image: of the session container.
        links: signs links to videos.
        operator_url, gateway_url, inference_address: as pods reach them.
        command: runs one session; reads `/etc/avatar/session.json`.
        pull_policy, pull_secrets: of the image.
        service_account: in the session's namespace; needs no rights.
        user: UID and GID of the process, not 0.
        audiences, resources: of the pod.
        node_selector, tolerations, priority_class, runtime_class: where and how it is scheduled.
        labels: added to Job and pod; never override the operator's own.
        env: more environment variables, as Kubernetes writes them; never override the operator's own.
        store_patience: seconds for which a store that does not answer is asked for a result that no pod told
            of, before its session is given up; None: no store can be asked.
        preparation: of avatars.
        fetch: what their pods, and sessions', may fetch.
        telemetry: of session pods.
    """

    image: str
    links: Links
    operator_url: str
    gateway_url: str
    inference_address: str
    command: tuple[str, ...] = ("python", "-m", "avatar_session")
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    service_account: str = "avatar-session"
    user: int = 65532
    audiences: Audiences = Audiences()
    resources: Resources = field(default_factory=Resources)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()
    priority_class: str = ""
    runtime_class: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: tuple[Mapping[str, object], ...] = ()
    store_patience: float | None = None
    preparation: Preparation = field(default_factory=Preparation)
    fetch: Fetch = Fetch()
    telemetry: Telemetry = Telemetry()
