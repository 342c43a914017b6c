"""An Avatar as decisions see it, and what is to be done about it: plain values. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avatar_operator.decision import Deletion, Note
from avatar_operator.names import IN_USE
from avatar_operator.objects import JobView, PodView
from avatar_operator.observed import Refusals
from avatar_operator.status import Condition

READY, USED = "Ready", "InUse"
"""Types of conditions; the second is there only while an avatar is being deleted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a source worth knowing; pictures are counted from 0."""

    reason: str
    message: str
    first_picture: int = 0
    last_picture: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of a source.

    Attributes:
        bundle: its id.
        pictures, width, height: of the bundle; 0 where a spec names a bundle, which is not looked into.
        engine: that prepared it.
    """

    bundle: str
    pictures: int = 0
    width: int = 0
    height: int = 0
    engine: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class AvatarStatus:
    """What must be known after a restart.

    Attributes:
        conditions: `Ready` and `InUse`.
        observed_generation: of the spec this speaks of.
        prepared: the latest that could be used; that of an older spec until there is a newer one.
        job_name: the latest Job of this generation; empty before the first.
        attempt: how many Jobs were made for this generation.
    """

    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    prepared: Prepared | None = None
    job_name: str = ""
    attempt: int = 0

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    @property
    def ready(self) -> Condition | None:
        """Whether sessions can use it."""
        return self.condition(READY)


@dataclass(frozen=True, slots=True)
class AvatarObject:
    """An Avatar.

    Attributes:
        resource_version: of the picture; every write names it.
        deleting: it has a deletion timestamp.
        finalizers: all of them.
        bundle: that the spec names; empty when there is a source to prepare.
        document: the whole spec as canonical JSON, for the pod.
        invalid: why the spec can't be read by this version; empty when it can.
    """

    namespace: str
    name: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    deleting: bool = False
    finalizers: tuple[str, ...] = ()
    bundle: str = ""
    document: str = "{}"
    status: AvatarStatus = AvatarStatus()
    invalid: str = ""

    @property
    def kept(self) -> bool:
        """Our finalizer is on it."""
        return IN_USE in self.finalizers


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything about one avatar.

    Attributes:
        jobs, pods: of any attempt; a foreign Job that holds one of the avatar's names is among them.
        prepared: what pods left in their termination messages, by the uid of their Job.
        users: names of unfinished sessions that name it, sorted.
        refusals: FailedCreate events of the current Job, as they were read last.
        job_refused: what the API server said when it would not take the Job, while it is not to be asked.
        live: read from the API server just now.
    """

    avatar: AvatarObject
    jobs: tuple[JobView, ...] = ()
    pods: tuple[PodView, ...] = ()
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    namespace_terminating: bool = False
    refusals: Refusals | None = None
    job_refused: str = ""
    live: bool = False

    @property
    def ours(self) -> tuple[JobView, ...]:
        """The avatar's own Jobs, the oldest first."""
        own = (job for job in self.jobs if job.owner_uid == self.avatar.uid)
        return tuple(sorted(own, key=lambda job: (job.generation, job.attempt)))


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, in this order; the first request that fails ends it.

    Attributes:
        look: nothing but this: read avatar, Jobs and pods live and decide again.
        create: manifest of a Job.
        status: the whole new status; None: nothing changed.
        read_refusals: name of the Job whose FailedCreate events are to be read, then decide again.
        wake_at: when to decide again though nothing happened.
    """

    look: bool = False
    add_finalizer: bool = False
    create: Mapping[str, Any] | None = None
    status: AvatarStatus | None = None
    notes: tuple[Note, ...] = ()
    deletes: tuple[Deletion, ...] = ()
    drop_finalizer: bool = False
    read_refusals: str = ""
    wake_at: float | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do now."""
        return self == Decision(wake_at=self.wake_at)
