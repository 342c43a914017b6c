"""The operator's configuration file: what the chart's values say, checked once at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.links import SignedLinks
from avatar_operator.cleanup_jobs import CleanupSettings
from avatar_operator.election import LeaseSettings
from avatar_operator.line import Capacity
from avatar_operator.settings import Audiences, Resources, Settings

Json = dict[str, Any]
Whole = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=True)


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


class CleanupPart(_Part):
    """Pods that empty folders of the store."""

    image: str
    command: tuple[str, ...] = ("python", "-m", "avatar_session.empty_folders")
    service_account: str = "default"
    env: tuple[Json, ...] = ()
    env_from: tuple[Json, ...] = ()
    volumes: tuple[Json, ...] = ()
    mounts: tuple[Json, ...] = ()


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
        address: where other replicas reach this one's posts, with `{pod_ip}` for the pod's address.
    """

    namespace: str
    namespaces: tuple[str, ...] = ()
    links: LinkPart
    sessions: PodPart
    cleanup: CleanupPart
    audiences: dict[str, str] = {}
    lease: LeasePart = LeasePart()
    sessions_in_cluster: Whole = 200
    sessions_in_namespace: Whole = 50
    progress_writes_a_second: Positive = 20
    requests_a_second: Positive = 100
    requests_at_once: Whole = 200
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

    def settings(self) -> Settings:
        """Of session Jobs.

        Raises:
            InvalidInputError: the key for links can't be read, or is too short.
        """
        pods = dict(self.sessions)
        resources = Resources(pods.pop("requests"), pods.pop("limits"), pods.pop("scratch"))
        audiences = Audiences(**self.audiences)
        return Settings(links=self._links(), audiences=audiences, resources=resources, **pods)

    def _links(self) -> SignedLinks:
        try:
            return SignedLinks(self.links.base, self.links.key_id, self.links.key_file.read_bytes())
        except (OSError, ValueError) as error:
            raise InvalidInputError(Reason.INVALID_ARGUMENT, str(error), field="links.keyFile") from None


def read_configuration(path: Path) -> Configuration:
    """Reads a YAML file.

    Raises:
        InvalidInputError: it can't be read; names the field.
    """
    try:
        return Configuration.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"{first['msg']} [{path}]", field=field) from None
