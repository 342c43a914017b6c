"""One AvatarProvider: what is wrong with it, and what sessions need of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from avatar_core.errors import AvatarError, Reason
from avatar_core.manifests import read_stored
from avatar_core.resources import (
    AvatarProvider,
    LLMProvider,
    ProviderSpec,
    ProviderStatus,
    SecretKeyReference,
    SpeechProvider,
)
from avatar_operator.conditions import State, is_alarming, with_condition
from avatar_operator.decision import Note
from avatar_operator.objects import ProviderView, SecretKey
from avatar_operator.reading import canonical
from avatar_operator.status import Condition
from avatar_operator.status_json import stored_condition

Json = Mapping[str, Any]
READY = "Ready"
_INSIDE = (".svc", ".cluster.local", ".localhost")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why no session can use it."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ProviderObject:
    """An AvatarProvider.

    Attributes:
        resource_version: of the picture; every write names it.
        condition: its Ready condition as stored.
        observed_generation: of the spec its status is about.
        fault: of its spec.
        view: what sessions need of it.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    condition: Condition | None
    observed_generation: int
    fault: Fault | None
    view: ProviderView


@dataclass(frozen=True, slots=True)
class Decision:
    """The condition to be written, and its Event; None: nothing changed."""

    condition: Condition | None = None
    note: Note | None = None


def reconcile_provider(provider: ProviderObject, now: float) -> Decision:
    """Decides what is to be said about a provider.

    Args:
        provider: as it is stored.
        now: Unix seconds.
    """
    if provider.deleting:
        return Decision()
    fault, before = provider.fault, provider.condition
    known = () if before is None else (before,)
    if fault is None:
        said = with_condition(known, READY, "True", State.ACCEPTED, "sessions can use it", now)
    else:
        said = with_condition(known, READY, "False", fault.reason, fault.message, now)
    condition = replace(said[0], generation=provider.generation)
    if condition == before and provider.observed_generation == provider.generation:
        return Decision()
    if before is not None and (before.truth, before.reason) == (condition.truth, condition.reason):
        return Decision(condition)
    kind: Literal["Warning", "Normal"] = "Warning" if is_alarming(condition.reason) else "Normal"
    return Decision(condition, Note(kind, condition.reason, condition.message))


def read_provider(document: Json) -> ProviderObject:
    """An AvatarProvider. Its spec is judged here and now: no condition of an older one is relied on."""
    metadata = document["metadata"]
    try:
        found = read_stored(document)
        assert isinstance(found, AvatarProvider)
        fault, status = fault_of(found.spec), found.status
        view = _view(found.spec, document["spec"], fault)
    except AvatarError as error:
        fault, status = Fault(Reason.INVALID_SPEC, str(error)), _salvaged(document)
        view = ProviderView(ready=False, message=str(error))
    stored = next((c for c in status.conditions if c.type == READY), None)
    return ProviderObject(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        resource_version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        condition=stored_condition(stored) if stored else None,
        observed_generation=status.observed_generation or 0,
        fault=fault,
        view=view,
    )


def _salvaged(document: Json) -> ProviderStatus:
    """Of a provider whose spec can't be read: what was said of it is not said again."""
    try:
        return ProviderStatus.model_validate(document.get("status", {}), extra="ignore")
    except ValueError:
        return ProviderStatus()


def fault_of(spec: ProviderSpec) -> Fault | None:
    """A key that would be sent in the clear to a host that is not of the cluster."""
    parts: list[tuple[str, LLMProvider | SpeechProvider]] = [("speech", spec.speech)]
    if spec.llm is not None:
        parts.append(("llm", spec.llm))
    for field, part in parts:
        url = part.base_url
        if url is None or part.api_key_secret_ref is None or is_private(url):
            continue
        message = f"spec.{field}.baseURL: {url} would get the key of spec.{field}.apiKeySecretRef unencrypted"
        return Fault(Reason.INSECURE_URL, message)
    return None


def is_private(url: str) -> bool:
    """Whether what is sent there is encrypted, or stays in the cluster or the pod."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme == "https" or not host:
        return parts.scheme == "https"
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # A number without dots is an address, too: names of Services begin with a letter.
        return host[0].isalpha() and ("." not in host or host.endswith(_INSIDE))


def _view(spec: ProviderSpec, document: Any, fault: Fault | None) -> ProviderView:
    return ProviderView(
        ready=fault is None,
        message=fault.message if fault else "",
        has_llm=spec.llm is not None,
        document=canonical(document),
        llm_key=_key(spec.llm.api_key_secret_ref if spec.llm else None),
        speech_key=_key(spec.speech.api_key_secret_ref),
    )


def _key(reference: SecretKeyReference | None) -> SecretKey | None:
    return None if reference is None else SecretKey(reference.name, reference.key)
