"""Any order of events, restarts anywhere, lost and doubled events, lagging caches, clock steps: one end."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.support.fake_cluster import Cluster, Pod
from tests.support.fake_operator import CrashError, Operator

from avatar_core.errors import Reason
from avatar_operator.line import Capacity
from avatar_operator.objects import SpecView

CAPACITY = Capacity(cluster=3, namespace=2)
INDEX = st.integers(0, 20)
ACTS: st.SearchStrategy[str | int] = st.sampled_from(
    [
        "start",
        "write",
        "commit",
        "commit",
        "post",
        "evict",
        "kill",
        "silence",
        0,
        -143,
        -143,
        14,
        41,
        137,
        137,
        1,
        124,
    ]
)

MAY_END_UNFOUND = {
    Reason.CANCELLED,
    Reason.START_TIMEOUT,
    Reason.QUOTA_EXCEEDED,
    Reason.AVATAR_NOT_READY,
    Reason.POD_FAILED,
}
"""How a session may end although a result was committed that the operator has never heard of."""


class Life(RuleBasedStateMachine):
    """People, controllers, kubelets, faults and the operator take turns in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.operator = Operator(self.cluster, CAPACITY)
        self.ever_succeeded: set[str] = set()
        self.stepped = False
        self.deleted_jobs: Counter[str] = Counter()

    # people

    @precondition(lambda self: len(self.cluster.store) < 6)
    @rule(
        namespace=st.sampled_from("ab"),
        avatar=st.sampled_from(["", "", "face"]),
        session_ttl=st.sampled_from([None, 0, 5000]),
        suspend=st.sampled_from([False, False, True]),
    )
    def apply(self, namespace: str, avatar: str, session_ttl: int | None, suspend: bool) -> None:
        spec = SpecView(avatar_ref=avatar, session_ttl=session_ttl, suspend=suspend and session_ttl is None)
        self.cluster.add_session(namespace, spec)

    @precondition(lambda self: self.cluster.sessions)
    @rule(
        index=INDEX,
        change=st.sampled_from(["suspend", "resume", "resume", "cancel", "retry", "ttl", "delete"]),
    )
    def change(self, index: int, change: str) -> None:
        uid = self._session(index)
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

    @rule(ready=st.booleans())
    def prepare_avatar(self, ready: bool) -> None:
        self.cluster.avatar_ready = ready
        for uid in self.operator.sessions:
            self.operator.queue[uid] = None

    @precondition(lambda self: self.cluster.jobs)
    @rule(index=INDEX)
    def delete_job(self, index: int) -> None:
        jobs = list(self.cluster.jobs.values())
        job = jobs[index % len(jobs)]
        del self.cluster.jobs[job.name]
        self.deleted_jobs[job.owner_uid] += 1
        self.cluster.changes.append(("job", job.owner_uid))

    # controllers and kubelets

    @rule(full=st.booleans())
    def quota(self, full: bool) -> None:
        self.cluster.quota_full = full

    @rule()
    def control(self) -> None:
        self.cluster.control()

    @precondition(lambda self: self.cluster.pods)
    @rule(index=INDEX, acts=st.lists(ACTS, min_size=1, max_size=4))
    def pod_lives(self, index: int, acts: list[str | int]) -> None:
        self._act(self._pod(index), acts)

    @precondition(lambda self: any(not pod.view.over for pod in self.cluster.pods.values()))
    @rule(index=INDEX, acts=st.lists(ACTS, min_size=1, max_size=3))
    def running_pod_lives(self, index: int, acts: list[str | int]) -> None:
        pods = [pod for pod in self.cluster.pods.values() if not pod.view.over]
        self._act(pods[index % len(pods)], ["start", "write", *acts])

    def _act(self, pod: Pod, acts: list[str | int]) -> None:
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
        if pod.committed and code > 0:
            return
        if code == 0 and not pod.committed:
            return
        self.cluster.end(pod, abs(code), oom=code == 137, told=code == 0)

    @rule(turns=st.integers(1, 3))
    def world_turns(self, turns: int) -> None:
        for _ in range(turns):
            for change in list(self.cluster.changes):
                self.operator.deliver(*change)
            self.cluster.changes.clear()
            self.operate_all()
            self.cluster.control()
            self._invariants()

    @precondition(lambda self: self.cluster.cleanups)
    @rule(index=INDEX, ok=st.booleans())
    def clean_up(self, index: int, ok: bool) -> None:
        uid = list(self.cluster.cleanups)[index % len(self.cluster.cleanups)]
        self._clean_up(uid, ok)

    # time and faults

    @rule(seconds=st.sampled_from([1, 3, 12, 40, 130, 310, 3700]))
    def pass_time(self, seconds: int) -> None:
        self.cluster.pass_time(seconds)

    @rule(seconds=st.sampled_from([-400, -7, 0, 0, 7, 400]))
    def step_clock(self, seconds: int) -> None:
        self.operator.offset = seconds
        self.stepped = self.stepped or seconds > 0

    @rule(index=INDEX, again=st.booleans())
    def deliver(self, index: int, again: bool) -> None:
        changes = self.cluster.changes
        if changes:
            change = changes[index % len(changes)]
            if not again:
                changes.remove(change)
            self.operator.deliver(*change)

    @precondition(lambda self: self.cluster.changes)
    @rule(index=INDEX)
    def lose_event(self, index: int) -> None:
        self.cluster.changes.pop(index % len(self.cluster.changes))

    @rule()
    def relist(self) -> None:
        self.operator.relist()

    @rule()
    def restart(self) -> None:
        self.operator = Operator(self.cluster, CAPACITY, self.operator.offset)

    # the operator

    @precondition(lambda self: self.operator.queue)
    @rule(index=INDEX, calls=st.sampled_from([None, None, None, 1, 2, 3]))
    def operate(self, index: int, calls: int | None) -> None:
        self.operator.wake()
        keys = list(self.operator.queue)
        self._step(keys[index % len(keys)], calls)

    @rule()
    def operate_all(self) -> None:
        self.operator.wake()
        for uid in list(self.operator.queue):
            self._step(uid, None)

    # what always holds

    @invariant()
    def one_job_at_a_time(self) -> None:
        for uid in self.cluster.store:
            jobs = [job.uid for job in self.cluster.jobs_of(uid) if not job.finished]
            pods = [pod.view.job_uid for pod in self.cluster.pods_of(uid) if not pod.view.over]
            assert len({*jobs, *pods}) <= 1, f"{uid}: {jobs} {pods}"

    @invariant()
    def no_job_without_finalizer(self) -> None:
        for job in self.cluster.jobs.values():
            session = self.cluster.sessions.get(job.owner_uid)
            assert session is None or session.kept, job

    @invariant()
    def nothing_in_the_store_without_finalizer(self) -> None:
        for uid, keys in self.cluster.store.items():
            if keys:
                assert uid in self.cluster.sessions, f"{uid} leaves {keys}"
                assert self.cluster.sessions[uid].kept, f"{uid} leaves {keys}"

    @invariant()
    def success_stays(self) -> None:
        for uid, session in self.cluster.sessions.items():
            outcome = session.status.succeeded
            if outcome is not None and outcome.truth == "True":
                self.ever_succeeded.add(uid)
            assert uid not in self.ever_succeeded or (outcome is not None and outcome.truth == "True")

    @invariant()
    def no_result_is_lost(self) -> None:
        for uid in self.cluster.committed:
            session = self.cluster.sessions.get(uid)
            if session is None or session.status.succeeded is None:
                continue
            outcome = session.status.succeeded
            if outcome.truth == "False":
                late = {Reason.DEADLINE_EXCEEDED} if self.stepped else set()
                lost = {Reason.RESULT_LOST} if self.deleted_jobs[uid] > 1 else set()
                assert outcome.reason in MAY_END_UNFOUND | late | lost, outcome

    @invariant()
    def capacity_is_kept(self) -> None:
        live = [job for job in self.cluster.jobs.values() if not job.finished]
        assert len(live) <= CAPACITY.cluster

    def teardown(self) -> None:
        self._calm()
        self._settle(horizon=1000)
        for session in self.cluster.sessions.values():
            outcome = session.status.succeeded
            assert outcome is not None
            if session.spec.suspend and not session.spec.cancel and outcome.truth == "Unknown":
                assert outcome.reason == Reason.SUSPENDED, outcome
            else:
                assert session.status.finished, session
        self._nothing_to_do()
        self._settle(horizon=100_000)
        self._nothing_to_do()
        for session in self.cluster.sessions.values():
            assert session.spec.session_ttl is None or not session.status.finished
            assert not session.deleting
            if session.status.finished:
                assert not session.kept
                assert not self.cluster.store[session.uid]
        self.nothing_in_the_store_without_finalizer()

    # how to get there

    def _calm(self) -> None:
        self.cluster.quota_full = False
        self.operator.offset = 0
        for pod in self.cluster.pods.values():
            pod.silent = False  # the node is back: its kubelet learns what was decided meanwhile

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
            self._clean_up(uid, ok=True)
        self.cluster.control()
        for pod in list(self.cluster.pods.values()):
            self._run(pod)
        self.operator.relist_changed()
        self.operator.wake()
        worked = bool(self.operator.queue)
        for uid in list(self.operator.queue):
            self._step(uid, None)
            self._invariants()
        return worked or len(self.cluster.writes) > before

    def _run(self, pod: Pod) -> None:
        if pod.view.gone_by is not None:
            self._kill(pod)
            return
        self.cluster.start(pod)
        result = self.cluster.commit(pod)
        if result is not None:
            self.operator.post(pod.session, result)
            self.cluster.end(pod, 0)
        elif not pod.hung:
            self.cluster.end(pod, 124)

    def _invariants(self) -> None:
        self.one_job_at_a_time()
        self.no_job_without_finalizer()
        self.nothing_in_the_store_without_finalizer()
        self.success_stays()
        self.no_result_is_lost()
        self.capacity_is_kept()

    def _nothing_to_do(self) -> None:
        for operator in (self.operator, Operator(self.cluster, CAPACITY)):
            before = list(self.cluster.writes)
            for uid in list(operator.sessions):
                decision = operator.step(uid)
                assert decision is not None
                assert decision.empty, decision
            assert self.cluster.writes == before

    def _step(self, uid: str, calls: int | None) -> None:
        self.operator.calls = calls
        try:
            self.operator.step(uid)
        except CrashError:
            self.operator = Operator(self.cluster, CAPACITY, self.operator.offset)
        self.operator.calls = None

    def _clean_up(self, uid: str, ok: bool) -> None:
        if ok:
            self.cluster.clean(uid)
        else:
            self.cluster.cleanups.pop(uid)
        self.operator.cleaned(uid, ok=ok)

    def _session(self, index: int) -> str:
        uids = list(self.cluster.sessions)
        return uids[index % len(uids)]

    def _pod(self, index: int) -> Pod:
        pods = list(self.cluster.pods.values())
        return pods[index % len(pods)]


Life.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLife = Life.TestCase
