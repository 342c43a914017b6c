"""What one branch of the decision about an avatar wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from avatar_core.errors import Reason
from avatar_operator.avatars.objects import READY, AvatarStatus
from avatar_operator.conditions import State, with_condition
from avatar_operator.decision import Deletion
from avatar_operator.status import Truth


@dataclass(frozen=True, slots=True)
class Plan:
    """As `Decision`, with two differences.

    Attributes:
        status: as it should be; None: it is not to be written at all.
        sure: rests on something not being there; only a live picture can say so.
    """

    status: AvatarStatus | None
    add_finalizer: bool = False
    create: Mapping[str, Any] | None = None
    deletes: tuple[Deletion, ...] = ()
    drop_finalizer: bool = False
    read_refusals: str = ""
    wake_at: float | None = None
    sure: bool = False

    @property
    def needs_live(self) -> bool:
        """Whether a picture from caches is not enough."""
        return self.sure or self.create is not None or bool(self.deletes) or self.drop_finalizer


def say(
    status: AvatarStatus, truth: Truth, reason: Reason | State, message: str, now: float, kind: str = READY
) -> AvatarStatus:
    """The status with another condition; a Reason's advice is added to the message."""
    return replace(status, conditions=with_condition(status.conditions, kind, truth, reason, message, now))
