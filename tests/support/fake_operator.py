"""A shell around the pure reconcile for tests: caches that lag, memory that a restart loses, crashes."""

from __future__ import annotations

from dataclasses import replace

from tests.support.fake_cluster import Cluster, ConflictError, ExistsError, GoneError

from avatar_core.errors import Reason
from avatar_operator.deadlines import Deadlines
from avatar_operator.decide import reconcile
from avatar_operator.decision import Decision, Deletion, Seat
from avatar_operator.line import Capacity, Line, Ticket
from avatar_operator.objects import AvatarView, JobView, PodView, SessionView
from avatar_operator.observed import Asked, Clean, CleanState, Observed, Place, Refusals
from avatar_operator.settings import Settings
from avatar_operator.status import Result


class FakeLinks:
    def url(self, namespace: str, uid: str, expires_at: int) -> str:
        return f"https://videos.example/v/k.{expires_at}.s/{namespace}/{uid}/"


SETTINGS = Settings("avatar:1", FakeLinks(), "https://operator", "https://gateway", "inference:50051")
ASKING = replace(SETTINGS, store_patience=30)

CAUSES = frozenset({Reason.SUSPENDED, Reason.DEADLINE_EXCEEDED, Reason.NODE_LOST})


class CrashError(Exception):
    """The operator's process dies."""


class Operator:
    """One process. `calls` is how many API calls it lives for; None: for ever."""

    def __init__(
        self, cluster: Cluster, capacity: Capacity, offset: float = 0, settings: Settings = SETTINGS
    ) -> None:
        self.cluster, self.offset, self.settings = cluster, offset, settings
        self.store_silent: dict[str, float] = {}
        self.line, self.deadlines = Line(capacity), Deadlines[str]()
        self.results: dict[str, Result] = {}
        self.cleans = {uid: Clean(CleanState.RUNNING, n) for uid, n in cluster.cleanups.items()}
        self.refusals: dict[str, Refusals] = {}
        self.sessions: dict[str, SessionView] = {}
        self.jobs: dict[str, tuple[JobView, ...]] = {}
        self.pods: dict[str, tuple[PodView, ...]] = {}
        self.messages: dict[str, Result] = {}
        self.queue: dict[str, None] = {}
        self.calls: int | None = None
        self.relist()
        self._unknown = set(self.queue)

    @property
    def now(self) -> float:
        return self.cluster.now + self.offset

    # caches

    def relist(self) -> None:
        self.cluster.changes.clear()
        for uid in {*self.cluster.sessions, *self.sessions}:
            for kind in ("session", "job", "pod"):
                self.deliver(kind, uid)

    def relist_changed(self) -> None:
        """What a list after a cut watch shows: only what is different puts a key in the queue."""
        self.cluster.changes.clear()
        for uid in {*self.cluster.sessions, *self.sessions}:
            before = (self.sessions.get(uid), self.jobs.get(uid, ()), self.pods.get(uid, ()))
            pods = tuple(pod.view for pod in self.cluster.pods_of(uid))
            if before != (self.cluster.sessions.get(uid), self.cluster.jobs_of(uid), pods):
                for kind in ("session", "job", "pod"):
                    self.deliver(kind, uid)

    def deliver(self, kind: str, uid: str) -> None:
        """One event, or the same one again."""
        if kind == "session":
            self._put_session(uid, self.cluster.sessions.get(uid))
        elif kind == "job":
            self.jobs[uid] = self.cluster.jobs_of(uid)
        else:
            self.pods[uid] = tuple(pod.view for pod in self.cluster.pods_of(uid))
            self._read_messages(uid)
        self.queue[uid] = None

    def _put_session(self, uid: str, session: SessionView | None) -> None:
        if session is not None:
            self.sessions[uid] = session
            return
        self.sessions.pop(uid, None)
        self.line.leave(uid)
        for memory in (self.results, self.cleans):
            memory.pop(uid, None)

    def _read_messages(self, uid: str) -> None:
        for pod in self.cluster.pods_of(uid):
            if pod.message is not None:
                self.results[uid] = pod.message

    def post(self, uid: str, result: Result) -> None:
        """A pod posts its result."""
        session = self.cluster.sessions.get(uid)
        if session is not None and not session.status.finished:
            self.results[uid] = result
            self.queue[uid] = None

    def cleaned(self, uid: str, *, ok: bool) -> None:
        """A clean-up Job is over; only of those this process asked for it knows when they began."""
        known = self.cleans.get(uid)
        if known is not None:
            tries = known.tries + 1
            done = Clean(CleanState.DONE, known.attempt)
            self.cleans[uid] = (
                done if ok else Clean(CleanState.FAILED, known.attempt, tries, self.now, "no store")
            )
            self.queue[uid] = None

    # the loop

    def step(self, uid: str) -> Decision | None:
        """Takes one key. Returns what was decided."""
        self.queue.pop(uid, None)
        decision = None
        if uid in self.sessions:
            seen = self.observe(uid, live=False)
            decision = reconcile(seen, self.settings, self.now)
            if decision.look:
                self._call()
                if uid not in self.cluster.sessions:
                    return decision
                seen = self.observe(uid, live=True)
                decision = reconcile(seen, self.settings, self.now)
                assert not decision.look
            if decision.ask_store:
                decision = reconcile(self._ask_store(seen), self.settings, self.now)
                assert not decision.look
            self._apply(seen.session, decision)
        self._unknown.discard(uid)
        if not self._unknown:
            self.line.open()
        for other in [*self.line.admit(), *self.line.refresh(self.now)]:
            self.queue[other] = None
        return decision

    def _ask_store(self, seen: Observed) -> Observed:
        uid = seen.session.uid
        if self.cluster.store_down:
            return replace(seen, asked=Asked(self.store_silent.setdefault(uid, self.now)))
        self.store_silent.pop(uid, None)
        found = self.cluster.committed.get(uid)
        if found is not None:
            self.results[uid] = found
        return replace(seen, result=found, asked=Asked())

    def wake(self) -> None:
        for uid in self.deadlines.due(self.now):
            self.queue[uid] = None

    def observe(self, uid: str, *, live: bool) -> Observed:
        if live:
            self._read_messages(uid)
        session = self.cluster.sessions[uid] if live else self.sessions[uid]
        jobs = self.cluster.jobs_of(uid) if live else self.jobs.get(uid, ())
        pods = tuple(p.view for p in self.cluster.pods_of(uid)) if live else self.pods.get(uid, ())
        return Observed(
            session,
            jobs,
            pods,
            avatar=AvatarView(ready=self.cluster.avatar_ready or not session.spec.avatar_ref),
            place=Place(self.line.admitted(uid), self.line.shown(uid)),
            result=self.results.get(uid),
            refusals=self.refusals.get(uid),
            clean=self.cleans.get(uid, Clean()),
            live=live,
        )

    def _apply(self, session: SessionView, decision: Decision) -> None:
        uid = session.uid
        if decision.seat is Seat.HOLDING:
            self.line.hold(uid, session.namespace)
        try:
            self._write(session, decision)
        except (ConflictError, GoneError, ExistsError):
            self.queue[uid] = None
            return
        if decision.seat is Seat.WAITING:
            ticket = Ticket(session.created, uid, session.namespace)
            self.line.wait(ticket, session.status.queue_position, self.now)
        elif decision.seat is Seat.OUT:
            self.line.leave(uid)
        self.deadlines.set(uid, decision.wake_at)
        if decision.read_refusals:
            message = self.cluster.refused.get(decision.read_refusals, "")
            self.refusals[uid] = Refusals(self.now, message)
            self.queue[uid] = None

    def _write(self, session: SessionView, decision: Decision) -> None:
        """In the order of Decision's attributes; each write names the version of the last response."""
        uid = session.uid
        if decision.add_finalizer:
            session = self.cluster.patch_finalizer(uid, session.resource_version, kept=True)
            self._call()
        if decision.create is not None:
            for memory in (self.cleans, self.refusals):
                memory.pop(uid, None)
            self.cluster.create_job(decision.create)
            self._call()
        if decision.status is not None:
            session = self.cluster.patch_status(uid, session.resource_version, decision.status)
            self._call()
        for deletion in decision.deletes:
            self._check_cause(session, deletion)
            self.cluster.delete(deletion)
            self._call()
        if decision.clean:
            tries = self.cleans.get(uid, Clean()).tries
            self.cleans[uid] = Clean(CleanState.RUNNING, session.status.attempt, tries)
            self.cluster.start_cleanup(uid, session.status.attempt)
            self._call()
        if decision.drop_finalizer:
            self.cluster.patch_finalizer(uid, session.resource_version, kept=False)
            self._call()

    def _check_cause(self, session: SessionView, deletion: Deletion) -> None:
        """No Job that still works is ended without a reason that stands in the status."""
        job = self.cluster.jobs.get(deletion.name)
        outcome = session.status.succeeded
        if job is None or job.finished or session.deleting or session.spec.retry or outcome is None:
            return
        if session.uid in self.cluster.ever_suspended:
            return  # resuming is a new attempt, and the operator may have died before it ended the old one
        assert outcome.truth == "False" or outcome.reason in CAUSES or self._late(session), outcome

    def _late(self, session: SessionView) -> bool:
        """Its video has expired while a Job that should long be over still works."""
        return session.status.finished and self.now >= (session.status.completed_at or 0)

    def _call(self) -> None:
        if self.calls is not None:
            self.calls -= 1
            if self.calls <= 0:
                raise CrashError
