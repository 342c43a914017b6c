"""A cluster, an operator, people and faults; what must always hold, and how everything comes to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from tests.support.fake_cluster import Cluster, Pod
from tests.support.fake_controllers import control
from tests.support.fake_operator import ASKING, SETTINGS, CrashError, Operator

from avatar_core.errors import Reason
from avatar_operator.line import Capacity

CAPACITY = Capacity(cluster=2, namespace=1)
KINDS = ("session", "job", "pod")

MAY_END_UNFOUND = {
    Reason.CANCELLED,  # it was asked for
    Reason.POD_FAILED,  # three pods were killed
    Reason.START_TIMEOUT,  # no other pod or attempt could begin
    Reason.QUOTA_EXCEEDED,
    Reason.AVATAR_NOT_READY,
}
"""How a session may end although a result was committed that an operator that can't ask the store has never
heard of; it is found by the next attempt, which `retry` asks for."""


class World:
    def __init__(self, *, asks: bool = False) -> None:
        self.cluster = Cluster()
        self.settings = ASKING if asks else SETTINGS
        self.operator = Operator(self.cluster, CAPACITY, settings=self.settings)
        self.ever_succeeded: set[str] = set()
        self.failures: set[tuple[str, int, int]] = set()
        self.store_ever_down = False
        self.stepped = False
        self.deleted_jobs: Counter[str] = Counter()

    # what happens

    def change(self, uid: str, change: str) -> None:
        """A person edits or deletes a session."""
        spec = self.cluster.sessions[uid].spec
        if change == "delete":
            self.cluster.delete_session(uid)
        elif change == "cancel":
            self.cluster.change_spec(uid, cancel=True)
        elif change == "retry":
            self.cluster.change_spec(uid, retry=spec.retry + 1)
        elif change == "ttl":
            self.cluster.change_spec(uid, video_ttl=(spec.video_ttl + 1000) % 7200)
        else:
            self.cluster.change_spec(uid, suspend=change == "suspend")

    def store_answers(self, *, down: bool) -> None:
        self.cluster.store_down = down
        self.store_ever_down = self.store_ever_down or down

    def prepare_avatar(self, *, ready: bool) -> None:
        self.cluster.avatar_ready = ready
        for uid in self.operator.sessions:
            self.operator.queue[uid] = None

    def delete_job(self, name: str) -> None:
        """A person deletes a Job."""
        job = self.cluster.jobs.pop(name)
        self.deleted_jobs[job.owner_uid] += 1
        self.cluster.changes.append(("job", job.owner_uid))

    def act(self, pod: Pod, acts: Sequence[str | int]) -> None:
        """What a pod does, and what is done to it; a number is the exit code of its process."""
        for act in acts:
            if isinstance(act, int):
                self._end(pod, act)
            elif act == "write":
                self.cluster.write(pod, "reply.json")
            elif act == "post":
                if pod.committed and pod.view.phase == "Running":
                    self.operator.post(pod.session, self.cluster.committed[pod.session])
            elif act == "kill":
                self._kill(pod)
            else:
                getattr(self.cluster, act)(pod)

    def _kill(self, pod: Pod) -> None:
        """Within its grace a process that has published still posts."""
        if pod.committed and pod.view.phase == "Running" and pod.view.gone_by and not pod.silent:
            self.operator.post(pod.session, self.cluster.committed[pod.session])
        self.cluster.kill(pod)

    def _end(self, pod: Pod, code: int) -> None:
        """A process that has committed ends well or is killed (-143); 137 stands for a lack of memory."""
        if pod.committed if code > 0 else code == 0 and not pod.committed:
            return
        self.cluster.end(pod, abs(code), oom=code == 137, told=code == 0)

    def turn(self, kinds: Collection[str] = KINDS) -> None:
        """Some caches are brought up to date, the operator works, then the controllers."""
        for change in [change for change in self.cluster.changes if change[0] in kinds]:
            self.cluster.changes.remove(change)
            self.operator.deliver(*change)
        self.operate()
        control(self.cluster)
        self.check()

    def operate(self) -> None:
        """The operator works off its queue."""
        self.operator.wake()
        for uid in list(self.operator.queue):
            self.step(uid)
            self.check()

    def step(self, uid: str, calls: int | None = None) -> None:
        """The operator takes one key; after `calls` API calls it dies and another one starts."""
        self.operator.calls = calls
        try:
            self.operator.step(uid)
        except CrashError:
            self.restart()
        self.operator.calls = None

    def restart(self) -> None:
        self.operator = Operator(self.cluster, CAPACITY, self.operator.offset, self.settings)

    def step_clock(self, seconds: float) -> None:
        self.operator.offset = seconds
        self.stepped = self.stepped or seconds > 0

    def clean_up(self, uid: str, *, ok: bool) -> None:
        """A clean-up Job ends. It never works beside a pod, whose work it would delete."""
        if ok:
            assert not any(not pod.view.over for pod in self.cluster.pods_of(uid))
            self.cluster.clean(uid)
        else:
            self.cluster.cleanups.pop(uid)
        self.operator.cleaned(uid, ok=ok)

    # what always holds

    def check(self) -> None:
        for uid, keys in self.cluster.store.items():
            self._check_jobs(uid)
            session = self.cluster.sessions.get(uid)
            assert not keys or (session is not None and session.kept), f"{uid} leaves {keys} behind"
            if session is not None:
                self._check_outcome(uid)
        live = [job for job in self.cluster.jobs.values() if not job.finished]
        assert len(live) <= CAPACITY.cluster, live

    def _check_jobs(self, uid: str) -> None:
        """Never two at once for one session, never one without the finalizer on its session."""
        jobs = self.cluster.jobs_of(uid)
        alive = [pod.view.job_uid for pod in self.cluster.pods_of(uid) if not pod.view.over]
        assert len({*alive, *(job.uid for job in jobs if not job.finished)}) <= 1, f"{jobs} {alive}"
        session = self.cluster.sessions.get(uid)
        assert not jobs or session is None or session.kept, jobs

    def _check_outcome(self, uid: str) -> None:
        """Success stays, and no result is lost."""
        outcome = self.cluster.sessions[uid].status.succeeded
        if outcome is not None and outcome.truth == "True":
            self.ever_succeeded.add(uid)
            return
        assert uid not in self.ever_succeeded, outcome
        if outcome is not None and outcome.reason == Reason.RESULT_LOST:
            assert all(job.finished for job in self.cluster.jobs_of(uid)), outcome
        if outcome is not None and outcome.truth == "False":
            failure = uid, outcome.since, self.cluster.sessions[uid].status.attempt
            if failure not in self.failures and uid in self.cluster.committed:
                assert outcome.reason in self._may_end_unfound(uid), outcome
            self.failures.add(failure)

    def _may_end_unfound(self, uid: str) -> set[Reason]:
        """Nothing that was committed by then, where the store answers; what is cancelled is not wanted."""
        if self.settings.store_patience is not None and not self.store_ever_down:
            return {Reason.CANCELLED}
        late = {Reason.DEADLINE_EXCEEDED} if self.stepped else set()
        lost = {Reason.RESULT_LOST} if self.deleted_jobs[uid] > 1 else set()
        return MAY_END_UNFOUND | late | lost

    # how everything comes to rest

    def rest(self) -> None:
        """Faults end. All sessions end too, or wait for what is true; then their videos expire."""
        self.cluster.quota_full = self.cluster.store_down = False
        self.operator.offset = 0
        for pod in self.cluster.pods.values():
            pod.silent = False  # the node is back: its kubelet learns what was decided meanwhile
        self._settle(horizon=1000)
        for session in self.cluster.sessions.values():
            outcome = session.status.succeeded
            assert outcome is not None, session
            suspended = session.spec.suspend and outcome.reason == Reason.SUSPENDED
            assert session.status.finished or suspended, session
        self._check_idle()
        self._settle(horizon=100_000)
        self._check_idle()
        for session in self.cluster.sessions.values():
            assert not session.deleting
            if session.status.finished:
                assert session.spec.session_ttl is None
                assert not session.kept
                assert not self.cluster.store[session.uid]

    def _settle(self, horizon: float) -> None:
        """Everything goes its way until nothing happens any more before `horizon` has passed."""
        until = self.cluster.now + horizon
        for _ in range(2000):
            if self._round():
                continue
            at = self.operator.deadlines.next()
            if at is None or at > until:
                return
            self.cluster.pass_time(max(1, at - self.cluster.now))
        raise AssertionError("it never settles")

    def _round(self) -> bool:
        before = len(self.cluster.writes)
        for uid in list(self.cluster.cleanups):
            self.clean_up(uid, ok=True)
        control(self.cluster)
        for pod in list(self.cluster.pods.values()):
            self._run(pod)
        self.operator.relist_changed()
        self.operator.wake()
        worked = bool(self.operator.queue)
        self.operate()
        return worked or len(self.cluster.writes) > before

    def _run(self, pod: Pod) -> None:
        if pod.view.gone_by is not None:
            self._kill(pod)
        elif not pod.hung:
            self.act(pod, ["start", "commit", "post", 0 if pod.committed or self._in_time(pod) else 124])

    def _in_time(self, pod: Pod) -> bool:
        self.cluster.start(pod)
        return self.cluster.commit(pod) is not None

    def _check_idle(self) -> None:
        """Nothing is left to do, for this operator and for one that has just started."""
        for operator in (self.operator, Operator(self.cluster, CAPACITY, settings=self.settings)):
            before = list(self.cluster.writes)
            for uid in list(operator.sessions):
                decision = operator.step(uid)
                assert decision is not None
                assert decision.empty, decision
            assert self.cluster.writes == before
