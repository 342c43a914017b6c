"""What a leader remembers of each object and a restart may lose."""

from __future__ import annotations

from dataclasses import dataclass, field

from avatar_core.cluster.pace import Bucket
from avatar_operator.objects import JobView
from avatar_operator.observed import Clean, Posted, Refusals
from avatar_operator.status import Result

PROGRESS_SECONDS = 1.0
"""A session's progress is written at most so often."""
REFUSED_MAX = 60.0


@dataclass(slots=True)
class Remembered:
    """Of one session or avatar.

    Attributes:
        result: posted, or found in a termination message, until it is in the status.
        jobs: uids of the session's own Jobs, also of those that are gone while their pods still end.
        progress: the latest posted.
        progress_at: when progress was last written, Unix seconds.
        refusals: what was read of the current Job's events.
        clean: of its folder.
        foreign: a Job that holds the session's next name and is not its own.
        refused, refused_until: what was said when the Job was not taken; until when it counts, Unix seconds.
        refusals_in_a_row: of the Job.
        name_taken: the last creation found the name taken; to be looked at.
        store_silent_since: since when the store does not answer about it, Unix seconds; None: it does.
    """

    result: Result | None = None
    jobs: set[str] = field(default_factory=set)
    progress: Posted | None = None
    progress_at: float = 0
    refusals: Refusals | None = None
    clean: Clean = field(default_factory=Clean)
    foreign: JobView | None = None
    refused: str = ""
    refused_until: float = 0
    refusals_in_a_row: int = 0
    name_taken: bool = False
    store_silent_since: float | None = None

    def refuse(self, message: str, now: float) -> None:
        """The API server would not take the Job; it is asked again later each time."""
        self.refused, self.refused_until = message, now + min(REFUSED_MAX, 2.0**self.refusals_in_a_row)
        self.refusals_in_a_row = min(self.refusals_in_a_row + 1, 10)

    def refusal(self, now: float) -> str:
        """What was said, for as long as it counts."""
        return self.refused if now < self.refused_until else ""


class Memory:
    """Of all sessions.

    Args:
        progress_rate: writes of progress a second, of all sessions together.

    Attributes:
        terminating: namespaces that are being deleted, and when that was last heard (monotonic seconds). One
            of the same name may follow: nothing is decided by it before a live look.
    """

    def __init__(self, progress_rate: float = 20) -> None:
        self._sessions: dict[str, Remembered] = {}
        self.terminating: dict[str, float] = {}
        self._progress = Bucket(progress_rate, progress_rate)

    def __len__(self) -> int:
        return len(self._sessions)

    def of(self, uid: str) -> Remembered:
        """What is remembered of an object; to be changed in place."""
        return self._sessions.setdefault(uid, Remembered())

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._sessions.pop(uid, None)

    def progress(self, uid: str, written: Posted | None, now: float) -> tuple[Posted | None, float | None]:
        """The progress that may be written now, else when to look again; news that find no room are dropped.

        Args:
            uid: of the session.
            written: what its status says.
            now: Unix seconds.
        """
        known = self._sessions.get(uid)
        if known is None or known.progress is None or known.progress == written:
            return None, None
        next_at = known.progress_at + PROGRESS_SECONDS
        if now < next_at:
            return None, next_at
        if not self._progress.take():
            return None, now + PROGRESS_SECONDS
        known.progress_at = now
        return known.progress, None
