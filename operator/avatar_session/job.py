"""One session as the pipeline takes it: everything looked up, nothing left to ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.resources import ProviderSpec, SessionSettings, SessionSpec, settle
from avatar_session.llm import Turn

STAGES = ("llm", "speech", "render", "publish")

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclass(frozen=True, slots=True)
class SessionJob:
    """What is to be made.

    Attributes:
        name, namespace: of the session.
        uid: what makes it unique; the store's keys are `<namespace>/<uid>/…`, so the same uid means the same
            video, made once.
        spec: as written.
        provider: where reply and voice come from.
        avatar: bundle id or name of a built-in; empty for the default.
        history: earlier turns of the conversation.
        attempt: counts from 1.
        trace: id of the attempt's trace, 32 hexadecimal digits; empty: any.
    """

    name: str
    namespace: str
    uid: str
    spec: SessionSpec
    provider: ProviderSpec = field(default_factory=ProviderSpec)
    avatar: str = ""
    history: tuple[Turn, ...] = ()
    attempt: int = 1
    trace: str = ""

    def __post_init__(self) -> None:
        for label, value in (("namespace", self.namespace), ("uid", self.uid)):
            if not _SAFE.fullmatch(value):
                message = f"{value[:60]!r} must be letters, digits, '-', '_' and '.', at most 253"
                raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field=label)

    @property
    def folder(self) -> str:
        """Where the session's objects are in the store."""
        return f"{self.namespace}/{self.uid}"

    @property
    def settings(self) -> SessionSettings:
        """Profile and defaults applied."""
        return settle(self.spec)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages this session goes through, in order."""
        first = 0 if self.spec.prompt is not None else 1 if self.spec.text is not None else 2
        return STAGES[first:]
