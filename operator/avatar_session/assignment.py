"""What the operator tells a pod to make: the resolved session."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avatar_core.addresses import AddressRules
from avatar_core.errors import InvalidInputError, Reason
from avatar_core.resources import Place, ProviderSpec, SessionSpec
from avatar_session.job import SessionJob
from avatar_session.llm import Turn


class _Turn(BaseModel):
    role: Literal["user", "assistant"]
    text: str


class _Assignment(BaseModel):
    """Fields that a newer operator adds are passed over."""

    model_config = ConfigDict(extra="ignore")
    name: str
    namespace: str
    uid: str
    attempt: Annotated[int, Field(ge=1)]
    trace: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""
    spec: SessionSpec
    provider: ProviderSpec = ProviderSpec()
    avatar: str = ""
    history: tuple[_Turn, ...] = ()
    fetch: dict[str, list[str]] = {}


def read_assignment(document: dict[str, Any]) -> tuple[SessionJob, AddressRules]:
    """The job that a resolved session describes, and where its pod may fetch from.

    Raises:
        InvalidInputError: INVALID_SPEC, it describes none.
    """
    try:
        told = _Assignment.model_validate(document, by_alias=True, extra="ignore", context=Place.CLUSTER)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInputError(Reason.INVALID_SPEC, first["msg"], field=field) from None
    job = SessionJob(
        name=told.name,
        namespace=told.namespace,
        uid=told.uid,
        spec=told.spec,
        provider=told.provider,
        avatar=told.avatar,
        history=tuple(Turn(turn.role, turn.text) for turn in told.history),
        attempt=told.attempt,
        trace=told.trace,
    )
    return job, AddressRules.read(told.fetch)
