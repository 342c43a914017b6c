"""One session's world at one moment, as plain values: all that a decision may rest on.

Times are Unix seconds. Nothing here belongs to a Kubernetes client; `reading.py` makes these from JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from avatar_operator.objects import (
    AvatarView,
    ContainerView,
    HistoryView,
    JobView,
    PodView,
    ProviderView,
    Report,
    SecretKey,
    SessionView,
    SpecView,
    Turn,
)
from avatar_operator.status import Progress, Result

__all__ = [
    "Asked",
    "AvatarView",
    "Clean",
    "CleanState",
    "ContainerView",
    "HistoryView",
    "JobView",
    "Observed",
    "Place",
    "PodView",
    "Posted",
    "ProviderView",
    "Refusals",
    "Report",
    "SecretKey",
    "SessionView",
    "SpecView",
    "Turn",
]


@dataclass(frozen=True, slots=True)
class Posted:
    """Progress that a pod posted, of the current attempt."""

    attempt: int
    stage: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class Refusals:
    """FailedCreate events of the current Job: the only trace of a pod that was never made.

    Attributes:
        read_at: when they were last read.
        message: of the latest one; empty when there is none.
    """

    read_at: float
    message: str = ""


class CleanState(StrEnum):
    """What is known of cleaning a session's folder."""

    NONE = "none"
    RUNNING = "running"  # asked for, or a clean-up Job is at it
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Clean:
    """The clean-up of a session's folder in the store; forgotten when a Job is created.

    Attributes:
        state: NONE after a restart that finds no clean-up Job for it.
        attempt: of the session when it was asked for: an older one says nothing of what came after.
        tries: how often it failed.
        failed_at, message: of the last failure.
        alone: its Job failed: beside others it might fail them, too.
    """

    state: CleanState = CleanState.NONE
    attempt: int = 0
    tries: int = 0
    failed_at: float = 0
    message: str = ""
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """What the line says: whether it holds a place, so a Job may be made; else the position to show.

    `position` None: none was given yet.
    """

    admitted: bool = False
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The store was asked for a result that no pod has told of, and there is none, or no answer.

    Attributes:
        silent_since: Unix seconds since when it does not answer; None: it does.
        later: it was not asked this time, by a limit of the operator's own.
    """

    silent_since: float | None = None
    later: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything about one session.

    Attributes:
        jobs, pods: of any attempt; a foreign Job that holds one of the session's names is among them.
        result: posted, or read in a termination message; kept by the shell until it is in the status.
        progress: the latest posted, where the shell's budget allows to write it.
        job_refused: what the API server said when it would not take the Job, for as long as it is not to be
            asked again; empty otherwise.
        asked: what the store said in this very step; None: it was not asked.
        live: read from the API server just now, session, Jobs and pods; False: from caches, which lag.
    """

    session: SessionView
    jobs: tuple[JobView, ...] = ()
    pods: tuple[PodView, ...] = ()
    avatar: AvatarView = field(default_factory=AvatarView)
    provider: ProviderView = field(default_factory=ProviderView)
    history: HistoryView = field(default_factory=HistoryView)
    namespace_terminating: bool = False
    place: Place = Place()
    result: Result | None = None
    progress: Posted | None = None
    refusals: Refusals | None = None
    clean: Clean = field(default_factory=Clean)
    job_refused: str = ""
    asked: Asked | None = None
    live: bool = False

    @property
    def ours(self) -> tuple[JobView, ...]:
        """The session's own Jobs, the oldest attempt first."""
        return tuple(
            sorted((j for j in self.jobs if j.owner_uid == self.session.uid), key=lambda job: job.attempt)
        )

    @property
    def pods_alive(self) -> tuple[PodView, ...]:
        """Pods whose process may still run, of any attempt."""
        return tuple(pod for pod in self.pods if not pod.over)
