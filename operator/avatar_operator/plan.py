"""What one branch of the decision wants, before it is known whether the picture may be trusted that far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from avatar_operator.decision import Deletion, Seat
from avatar_operator.objects import JobView, PodView
from avatar_operator.observed import Observed
from avatar_operator.pods import stuck_at
from avatar_operator.status import Status

LOOK_AGAIN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """As `Decision`, with two differences.

    Attributes:
        status: as it should be; None: it is not to be written at all.
        sure: rests on something not being there; only a live picture can say so.
    """

    status: Status | None
    seat: Seat = Seat.OUT
    add_finalizer: bool = False
    create: Mapping[str, Any] | None = None
    deletes: tuple[Deletion, ...] = ()
    clean: bool = False
    drop_finalizer: bool = False
    read_refusals: str = ""
    wake_at: float | None = None
    sure: bool = False

    @property
    def needs_live(self) -> bool:
        """Whether a picture from caches is not enough.

        Adding the finalizer names the picture's resourceVersion: when it succeeds the session was as seen,
        and the name of a first Job can't be taken twice. Everything else that can't be undone is looked at.
        """
        unguarded = self.create is not None and not self.add_finalizer
        return self.sure or unguarded or bool(self.deletes) or self.clean or self.drop_finalizer


def delete_jobs(jobs: Iterable[JobView]) -> tuple[Deletion, ...]:
    """Deletes of those that are not being deleted already."""
    return tuple(Deletion("Job", job.name, job.uid) for job in jobs if not job.deleting)


def delete_stuck(pods: Iterable[PodView], now: float) -> tuple[Deletion, ...]:
    """Deletes, without grace, of pods whose kubelet will never end them.

    With the object goes the token: what may still run on a silent node can't write to the store any more.
    """
    late = (pod for pod in pods if (at := stuck_at(pod)) is not None and now >= at)
    return tuple(Deletion("Pod", pod.name, pod.uid, grace=0) for pod in late)


def clearing(seen: Observed, status: Status | None, now: float) -> Plan | None:
    """What is to be done while Jobs or running pods are left that must go; None when nothing is left."""
    if not seen.ours and not seen.pods_alive:
        return None
    deletes = delete_jobs(seen.ours) + delete_stuck(seen.pods_alive, now)
    return Plan(status, seat(seen), deletes=deletes, wake_at=look_again(seen.pods_alive, now))


def look_again(pods: Iterable[PodView], now: float) -> float:
    """When to decide again while things must go: what caches never showed is not missed when it goes."""
    stuck = earliest(now, *(stuck_at(pod) for pod in pods))
    return min(now + LOOK_AGAIN_SECONDS, stuck or now + LOOK_AGAIN_SECONDS)


def earliest(now: float, *times: float | None) -> float | None:
    """The first of those that are still to come."""
    return min((at for at in times if at is not None and at > now), default=None)


def seat(seen: Observed) -> Seat:
    """A place is held for as long as anything of the session may still run."""
    running = bool(seen.pods_alive) or any(not job.finished for job in seen.ours)
    return Seat.HOLDING if running else Seat.OUT
