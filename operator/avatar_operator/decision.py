"""What is to be done about one session; applied by the shell in the order of `Decision`'s attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from avatar_operator.status import Status


class Seat(StrEnum):
    """Where the session stands in the line for capacity; a level, told with every decision."""

    OUT = "out"
    WAITING = "waiting"
    HOLDING = "holding"


@dataclass(frozen=True, slots=True)
class Deletion:
    """One delete, in the background, with a uid precondition; `grace` None leaves the object's own."""

    kind: Literal["Job", "Pod", "AvatarSession"]
    name: str
    uid: str
    grace: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """One Kubernetes Event about the session."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done. The shell stops at the first step that fails, and asks anew.

    A picture from caches leads to nothing but writes that name its resourceVersion (adding the finalizer,
    status) and to what the finalizer's success makes safe; everything else asks to `look` first.

    Attributes:
        look: nothing but this: read session, Jobs and pods live and decide again.
        ask_store: nothing but this: look for the session's result in the store and decide again; where it
            does not answer, at `wake_at`.
        add_finalizer: before anything else; a conflict ends the application.
        create: manifest of a Job. 409: look; it may be ours already.
        status: the whole new status, written with the picture's resourceVersion; None: nothing changed.
        notes: Events, once the status is written.
        deletes: 404 and a failed uid precondition are success.
        clean: delete the session's folder in the store: `clean.attempt` of later pictures is this attempt's.
        drop_finalizer: last.
        read_refusals: name of the Job whose FailedCreate events are to be read, then decide again.
        seat: for the line; None leaves it. HOLDING counts before the first step, the others after the last.
        wake_at: Unix seconds at which to decide again though nothing happened.
    """

    look: bool = False
    ask_store: bool = False
    add_finalizer: bool = False
    create: Mapping[str, Any] | None = None
    status: Status | None = None
    notes: tuple[Note, ...] = ()
    deletes: tuple[Deletion, ...] = ()
    clean: bool = False
    drop_finalizer: bool = False
    read_refusals: str = ""
    seat: Seat | None = None
    wake_at: float | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do now."""
        idle = Decision(seat=self.seat, wake_at=self.wake_at)
        return self == idle
