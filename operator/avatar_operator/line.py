"""The line for capacity: first come, first served within a namespace, turn by turn between namespaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, nsmallest

SHOWN_ALWAYS = 10
"""So many at the front see every change of their position."""
SHOWN_EVERY, SHOWN_AT_ONCE = 60.0, 5
"""Each of the others sees one at most so often (seconds), and so many of them at a time: a long line would
be nothing but writes."""


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """A session in line.

    Attributes:
        created: of the session, Unix seconds; the order within its namespace.
        uid: of the session; breaks ties.
        namespace: of the session.
    """

    created: float
    uid: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many sessions may have a Job at once, in all and in one namespace."""

    cluster: int
    namespace: int


@dataclass(slots=True)
class _Shown:
    position: int
    at: float


class Line:
    """Who may make a Job now.

    The next place goes to the namespace that holds the fewest; among equals to the one whose first ticket is
    oldest. So a namespace with one session waits for one place, however many another one has in line.

    Nobody is let in before `open`: after a start the sessions that hold places must be known first.

    Args:
        capacity: the limits.
    """

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._waiting: dict[str, Ticket] = {}
        self._queues: dict[str, list[Ticket]] = {}  # heaps; those who left are passed over
        self._holding: dict[str, str] = {}
        self._held: dict[str, int] = {}
        self._shown: dict[str, _Shown] = {}
        self._behind: Counter[str] = Counter()
        self._opened = False

    @property
    def waiting(self) -> int:
        """Sessions in line."""
        return len(self._waiting)

    @property
    def holding(self) -> int:
        """Places taken."""
        return len(self._holding)

    @property
    def free(self) -> bool:
        """Whether who comes now is let in at once, as far as the cluster's limit goes."""
        return self._opened and not self._waiting and len(self._holding) < self.capacity.cluster

    def open(self) -> None:
        """From now on sessions are let in."""
        self._opened = True

    def number(self, now: float) -> None:
        """Gives a position to everybody in line who has none; nobody is told that it changed."""
        for position, ticket in enumerate(self._order(), 1):
            self._shown.setdefault(ticket.uid, _Shown(position, now))

    def wait(self, ticket: Ticket, shown: int | None, now: float) -> None:
        """Joins the line, or stays in it, or in the place it holds.

        Args:
            ticket: who.
            shown: the position in its status, which counts as just written; None: it is given one, as if
                everybody before it in line had been created earlier.
            now: Unix seconds.
        """
        if ticket.uid in self._waiting or ticket.uid in self._holding:
            return
        self._waiting[ticket.uid] = ticket
        queue = self._queues.setdefault(ticket.namespace, [])
        if ticket not in queue[:1]:  # the commonest way to come back; another double is passed over later
            heappush(queue, ticket)
        self._behind[ticket.namespace] += 1
        if shown is None and self._opened:
            shown = self._last_of(ticket.namespace)
        if shown is not None:
            self._shown[ticket.uid] = _Shown(shown, now)

    def hold(self, uid: str, namespace: str) -> None:
        """Takes a place, within the limits or not: its Job exists already."""
        self._forget(uid)
        if uid not in self._holding:
            self._holding[uid] = namespace
            self._held[namespace] = self._held.get(namespace, 0) + 1

    def leave(self, uid: str) -> None:
        """Is neither in line nor holds a place any more."""
        self._forget(uid)
        namespace = self._holding.pop(uid, None)
        if namespace is not None:
            self._held[namespace] -= 1
            if not self._held[namespace]:
                del self._held[namespace]

    def admit(self) -> list[str]:
        """Uids of those who are let in now and hold places from here on."""
        admitted: list[str] = []
        while self._opened and len(self._holding) < self.capacity.cluster:
            open_queues = (
                (self._held.get(namespace, 0), queue[0])
                for namespace, queue in self._fronts()
                if self._held.get(namespace, 0) < self.capacity.namespace
            )
            first = min(open_queues, default=None)
            if first is None:
                break
            self.hold(first[1].uid, first[1].namespace)
            admitted.append(first[1].uid)
        return admitted

    def admitted(self, uid: str) -> bool:
        """Whether it holds a place."""
        return uid in self._holding

    def shown(self, uid: str) -> int | None:
        """The position to be written into its status; None: it has none."""
        known = self._shown.get(uid)
        return known.position if known and uid in self._waiting else None

    def refresh(self, now: float) -> list[str]:
        """Numbers the line anew; uids whose shown position changed. To be called at most once a second."""
        changed: list[str] = []
        late: list[tuple[float, int, str]] = []
        for position, ticket in enumerate(self._order(), 1):
            known = self._shown.get(ticket.uid)
            if known is not None and known.position == position:
                continue
            if position <= SHOWN_ALWAYS:
                self._shown[ticket.uid] = _Shown(position, now)
                changed.append(ticket.uid)
            elif known is None or abs(now - known.at) >= SHOWN_EVERY:
                late.append((known.at if known else float("-inf"), position, ticket.uid))
        for _, position, uid in nsmallest(SHOWN_AT_ONCE, late):
            self._shown[uid] = _Shown(position, now)
            changed.append(uid)
        return changed

    def _last_of(self, namespace: str) -> int:
        """The position of the last one in the line of a namespace: before it go those of other namespaces
        whose turns come no later."""
        turn = self._held.get(namespace, 0) + self._behind[namespace]
        return sum(min(count, max(0, turn - self._held.get(name, 0))) for name, count in self._behind.items())

    def _order(self) -> Iterator[Ticket]:
        """The order in which places would be given if none ever came free unevenly."""
        queues: dict[str, list[Ticket]] = {}
        for ticket in sorted(self._waiting.values(), reverse=True):
            queues.setdefault(ticket.namespace, []).append(ticket)
        turns = [(self._held.get(namespace, 0), queue[-1]) for namespace, queue in queues.items()]
        heapify(turns)
        while turns:
            held, ticket = heappop(turns)
            yield ticket
            queue = queues[ticket.namespace]
            queue.pop()
            if queue:
                heappush(turns, (held + 1, queue[-1]))

    def _fronts(self) -> Iterator[tuple[str, list[Ticket]]]:
        """Namespaces with somebody in line, whose first ticket is at the front of its heap."""
        for namespace in list(self._queues):
            queue = self._queues[namespace]
            while queue and self._waiting.get(queue[0].uid) != queue[0]:
                heappop(queue)
            if queue:
                yield namespace, queue
            else:
                del self._queues[namespace]

    def _forget(self, uid: str) -> None:
        ticket = self._waiting.pop(uid, None)
        self._shown.pop(uid, None)
        if ticket is not None:
            self._behind[ticket.namespace] -= 1
            if not self._behind[ticket.namespace]:
                del self._behind[ticket.namespace]
