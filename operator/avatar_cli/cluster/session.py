"""One AvatarSession as the command line sees it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from avatar_core.errors import Actor, AvatarError, Reason
from avatar_core.mistakes import printable
from avatar_core.resources import Condition, SessionStatus

SUCCEEDED, VIDEO_AVAILABLE = "Succeeded", "VideoAvailable"


@dataclass(frozen=True, slots=True)
class Session:
    """A session, and its status as far as this version can read it.

    Attributes:
        version: resourceVersion.
        spec: as it is stored.
    """

    namespace: str
    name: str
    uid: str
    version: str
    deleting: bool
    spec: Mapping[str, Any]
    status: SessionStatus

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type."""
        return next((one for one in self.status.conditions if one.type == kind), None)

    @property
    def outcome(self) -> bool | None:
        """True: the video is made; False: it failed; None: it goes on."""
        found = self.condition(SUCCEEDED)
        return {"True": True, "False": False}.get(found.status) if found else None

    @property
    def over(self) -> bool:
        """Whether nothing more happens, unless `spec.retry` grows beyond what was answered.

        Between a new `retry` and the operator's word the old outcome still stands.
        """
        asked_again = not self.cancel and self.retry > (self.status.observed_retry or 0)
        return self.outcome is True or (self.outcome is False and not asked_again)

    @property
    def retry(self) -> int:
        """`spec.retry`."""
        return int(self.spec.get("retry") or 0)

    @property
    def cancel(self) -> bool:
        """`spec.cancel`."""
        return bool(self.spec.get("cancel"))


def read_session(document: Mapping[str, Any]) -> Session:
    """A session of the API server's JSON; of a status that can't be read, nothing."""
    metadata = document["metadata"]
    try:
        status = SessionStatus.model_validate(document.get("status") or {}, by_alias=True, extra="ignore")
    except ValidationError:
        status = SessionStatus()
    return Session(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        spec=document.get("spec") or {},
        status=status,
    )


def reason_of(condition: Condition) -> Reason | None:
    """The reason of the table; None for a state that is no trouble, and for what only newer versions say."""
    try:
        return Reason(condition.reason)
    except ValueError:
        return None


def said(condition: Condition) -> str:
    """Its message without the advice that the operator has added, safe for a terminal."""
    message, reason = printable(condition.message), reason_of(condition)
    if reason is not None:
        advice = AvatarError(reason, "").info.advice
        message = message.removesuffix(advice).strip()
    return message


def failure(session: Session) -> AvatarError:
    """Why a session that is over made no video: its own reason, and so its own exit code."""
    condition = session.condition(SUCCEEDED)
    assert condition is not None
    reason = reason_of(condition)
    if reason is None:
        return AvatarError(Reason.NOT_POSSIBLE, f"it ended with {condition.reason}: {said(condition)}")
    stage = f" (stage {session.status.stage})" if session.status.stage else ""
    return AvatarError(reason, f"the session failed{stage}: {said(condition) or reason}")


def who(reason: Reason) -> str:
    """Who can mend it, in words."""
    actor = AvatarError(reason, "").info.actor
    return {Actor.USER: "you", Actor.ADMIN: "an administrator", Actor.NOBODY: "nobody"}[actor]
