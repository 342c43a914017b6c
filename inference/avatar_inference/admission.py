"""Who may draw now, who waits, and for how long: pure decisions over counts, bytes and a measured rate."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from avatar_core.errors import InferenceError, Reason

LIVE_SHARE = 0.8
"""LIVE streams are promised at most this part of the measured rate."""
LOWER_RATES = (Fraction(15), Fraction(12))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server carries at once.

    Attributes:
        renders: accepted at once.
        waiting: in line for a place.
        held_bytes: sound, pictures and video held for all accepted renders.
    """

    renders: int
    waiting: int
    held_bytes: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """A render that asks to be accepted.

    Attributes:
        name: the render.
        fps: frames per second asked for.
        live: whether frames have deadlines.
        held_bytes: what it may hold, at most.
        allow_lower_fps: LIVE: 15 or 12 will do.
    """

    name: str
    fps: Fraction
    live: bool
    held_bytes: int
    allow_lower_fps: bool = False


class Admission:
    """The line before the door. OFFLINE waits its turn; LIVE is taken at once or refused.

    Args:
        limits: what the server carries.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._waiting: list[Ticket] = []
        self._inside: dict[str, Ticket] = {}
        self._finished_after: float | None = None  # smoothed seconds between two renders that left

    @property
    def active(self) -> int:
        """Renders inside."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """Renders in line."""
        return len(self._waiting)

    def ask(self, ticket: Ticket, frames_per_second: float) -> Fraction | None:
        """Asks for a place.

        Args:
            ticket: who asks.
            frames_per_second: measured rate of the server; 0 while unknown.

        Returns:
            The frame rate it is accepted with, or None if it waits in line; then `admit` names it later.

        Raises:
            InferenceError: Overloaded, with seconds after which to come back.
        """
        if ticket.live:
            return self._enter(ticket, self._live_rate(ticket, frames_per_second))
        if not self._waiting and self._fits(ticket):
            return self._enter(ticket, ticket.fps)
        if len(self._waiting) >= self.limits.waiting:
            raise self._full(f"{len(self._waiting)} renders wait already", self.eta(len(self._waiting)))
        self._waiting.append(ticket)
        return None

    def leave(self, name: str, seconds_since_last: float) -> None:
        """A render is over, inside or in line. `seconds_since_last` is the time since another one left."""
        if self._inside.pop(name, None):
            last = self._finished_after
            self._finished_after = (
                seconds_since_last if last is None else 0.7 * last + 0.3 * seconds_since_last
            )
        self._waiting = [ticket for ticket in self._waiting if ticket.name != name]

    def admit(self) -> list[str]:
        """Names of those in line that enter now, first come, first served."""
        entered = []
        while self._waiting and self._fits(self._waiting[0]):
            ticket = self._waiting.pop(0)
            self._enter(ticket, ticket.fps)
            entered.append(ticket.name)
        return entered

    def position(self, name: str) -> int:
        """Place in line, 1 is next; 0 when not in line."""
        return next((place for place, ticket in enumerate(self._waiting, 1) if ticket.name == name), 0)

    def eta(self, position: int) -> float | None:
        """Estimated seconds until the one at `position` enters; None while nothing was measured."""
        return None if self._finished_after is None else self._finished_after * max(1, position)

    def _enter(self, ticket: Ticket, fps: Fraction) -> Fraction:
        self._inside[ticket.name] = Ticket(ticket.name, fps, ticket.live, ticket.held_bytes)
        return fps

    def _fits(self, ticket: Ticket) -> bool:
        held = sum(other.held_bytes for other in self._inside.values())
        # One render always fits: a limit that lets nobody in helps nobody.
        fits = not self._inside or held + ticket.held_bytes <= self.limits.held_bytes
        return fits and len(self._inside) < self.limits.renders

    def _live_rate(self, ticket: Ticket, frames_per_second: float) -> Fraction:
        """The highest rate the server can promise, of those the client takes."""
        promised = sum((t.fps for t in self._inside.values() if t.live), start=Fraction(0))
        lower = [fps for fps in LOWER_RATES if fps < ticket.fps] if ticket.allow_lower_fps else []
        for fps in (ticket.fps, *lower):
            known = frames_per_second > 0
            if self._fits(ticket) and (not known or promised + fps <= LIVE_SHARE * frames_per_second):
                return fps
        raise self._full(f"{float(promised):g} of {frames_per_second:.0f} frames/s are promised", self.eta(1))

    def _full(self, why: str, eta: float | None) -> InferenceError:
        wait = eta or 5.0
        return InferenceError(
            Reason.OVERLOADED,
            f"the server is full ({self.active} renders, {why}); come back in {wait:.0f} s",
            retry_after=wait,
        )
