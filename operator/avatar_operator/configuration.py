"""The operator's configuration file: what the chart's values say, checked once at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, IPvAnyNetwork

from avatar_core.configuration import STRICT, read_file
from avatar_core.errors import InvalidInputError, Reason
from avatar_core.key_files import FollowedLinks, KeyFile
from avatar_operator.cleanup_jobs import CleanupSettings
from avatar_operator.election import LeaseSettings
from avatar_operator.line import Capacity
from avatar_operator.settings import Audiences, Fetch, Preparation, Resources, Settings, Telemetry

Json = dict[str, Any]
Whole = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = STRICT


class LinkPart(_Part):
    """How links to videos are signed."""

    base: str
    """Of the gateway, as viewers reach it."""
    key_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "1"
    key_file: Path
    """Holds at least 32 bytes."""


class PodPart(_Part):
    """Session pods."""

    image: str
    operator_url: str
    gateway_url: str
    inference_address: str
    command: tuple[str, ...] = ("python", "-m", "avatar_session")
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    service_account: str = "avatar-session"
    user: Whole = 65532
    requests: dict[str, str] = {"cpu": "250m", "memory": "256Mi"}
    limits: dict[str, str] = {"memory": "512Mi"}
    scratch: str = "1Gi"
    node_selector: dict[str, str] = {}
    tolerations: tuple[Json, ...] = ()
    priority_class: str = ""
    runtime_class: str = ""
    labels: dict[str, str] = {}
    env: tuple[Json, ...] = ()


class PreparationPart(_Part):
    """Pods that prepare avatars: as those of sessions, where nothing else is said."""

    command: tuple[str, ...] = ("python", "-m", "avatar_session.prepare")
    requests: dict[str, str] | None = None
    limits: dict[str, str] | None = None
    scratch: str | None = None
    timeout_seconds: Whole = 600
    start_timeout_seconds: Whole = 600


class FetchPart(_Part):
    """Where pods may fetch from, as networks; a network of public addresses needs no word."""

    refuse: tuple[IPvAnyNetwork, ...] = ()
    allow: tuple[IPvAnyNetwork, ...] = ()


class TelemetryPart(_Part):
    """Where session pods send their traces; nowhere without an endpoint."""

    endpoint: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """For OTLP over HTTP, usually on port 4318."""
    headers_secret: str = ""
    """In the session's namespace; its key `headers` holds NAME=VALUE, several parted by commas."""


class CleanupPart(_Part):
    """Pods that empty folders of the store."""

    image: str
    command: tuple[str, ...] = ("python", "-m", "avatar_session.empty_folders")
    pull_policy: str = "IfNotPresent"
    service_account: str = "default"
    env: tuple[Json, ...] = ()
    env_from: tuple[Json, ...] = ()
    volumes: tuple[Json, ...] = ()
    mounts: tuple[Json, ...] = ()
    placement: Json = {}


class GatewayPart(_Part):
    """Where results are looked for that no pod could tell of."""

    url: str
    token_file: Path = Path("/var/run/secrets/avatars.dev/gateway")
    """A token of the operator's own ServiceAccount, for the gateway's audience."""
    patience: Positive = 30
    """Seconds for which a gateway that does not answer is asked before a session is given up."""


class LeasePart(_Part):
    """Election of a leader."""

    name: str = "avatar-operator"
    duration: Positive = 15
    deadline: Positive = 10
    period: Positive = 2


class Configuration(_Part):
    """All of it.

    Attributes:
        namespace: of the operator, its Lease and clean-up Jobs.
        namespaces: to serve; none: all.
        gateway: asked before a session fails whose pods may have made a video; None: another attempt finds
            it.
        address: where other replicas reach this one's posts, with `{pod_ip}` for the pod's address.
    """

    namespace: str
    namespaces: tuple[str, ...] = ()
    links: LinkPart
    sessions: PodPart
    preparation: PreparationPart = PreparationPart()
    fetch: FetchPart = FetchPart()
    telemetry: TelemetryPart = TelemetryPart()
    cleanup: CleanupPart
    gateway: GatewayPart | None = None
    audiences: dict[str, str] = {}
    lease: LeasePart = LeasePart()
    sessions_in_cluster: Whole = 200
    sessions_in_namespace: Whole = 50
    progress_writes_a_second: Positive = 20
    requests_a_second: Positive = 200
    requests_at_once: Whole = 400
    host: str = "0.0.0.0"  # noqa: S104 - its pods come from everywhere
    reports_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    probes_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    address: str = "http://{pod_ip}:8081"

    @property
    def capacity(self) -> Capacity:
        """How many sessions may run at once."""
        return Capacity(self.sessions_in_cluster, self.sessions_in_namespace)

    @property
    def lease_settings(self) -> LeaseSettings:
        """Of the election."""
        lease = self.lease
        return LeaseSettings(self.namespace, lease.name, lease.duration, lease.deadline, lease.period)

    @property
    def cleanup_settings(self) -> CleanupSettings:
        """Of clean-up Jobs."""
        return CleanupSettings(namespace=self.namespace, **dict(self.cleanup))

    def link_key(self) -> KeyFile:
        """The key that links are signed with, as it is now.

        Raises:
            InvalidInputError: it can't be read, or is too short.
        """
        try:
            return KeyFile(self.links.key_id, self.links.key_file)
        except (OSError, ValueError) as error:
            raise InvalidInputError(Reason.INVALID_ARGUMENT, str(error), field="links.keyFile") from None

    def settings(self, key: KeyFile) -> Settings:
        """Of the Jobs of sessions and avatars.

        Args:
            key: that links are signed with.
        """
        pods = dict(self.sessions)
        resources = Resources(pods.pop("requests"), pods.pop("limits"), pods.pop("scratch"))
        audiences = Audiences(**self.audiences)
        patience = self.gateway.patience if self.gateway else None
        return Settings(
            links=FollowedLinks(self.links.base, key),
            audiences=audiences,
            resources=resources,
            store_patience=patience,
            preparation=self._preparation(resources),
            fetch=Fetch(tuple(map(str, self.fetch.refuse)), tuple(map(str, self.fetch.allow))),
            telemetry=Telemetry(**dict(self.telemetry)),
            **pods,
        )

    def _preparation(self, sessions: Resources) -> Preparation:
        part = self.preparation
        resources = Resources(
            sessions.requests if part.requests is None else part.requests,
            sessions.limits if part.limits is None else part.limits,
            part.scratch or sessions.scratch,
        )
        return Preparation(part.command, resources, part.timeout_seconds, part.start_timeout_seconds)


def read_configuration(path: Path) -> Configuration:
    """Reads a YAML file.

    Raises:
        InvalidInputError: it can't be read; names the field.
    """
    return read_file(path, Configuration)
