"""Avatars amid faults: caches that lag, an operator that dies halfway, Jobs that end in every way."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.support.fake_operator import SETTINGS

from avatar_core.errors import REASONS, Reason
from avatar_operator.avatars.decide import reconcile_avatar
from avatar_operator.avatars.objects import AvatarObject, Decision, Prepared, Seen
from avatar_operator.avatars.preparing import worth_retrying
from avatar_operator.names import IN_USE
from avatar_operator.objects import ContainerView, JobView, PodView, Report

ENDS = [
    Reason.NO_FACE,
    Reason.SOURCE_MISMATCH,
    Reason.SOURCE_UNREACHABLE,
    Reason.WEIGHTS_MISSING,
    Reason.OVERLOADED,
]


class Cluster:
    """One avatar, its Jobs and pods as an API server has them, and what the operator has seen of them."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.avatar = AvatarObject("team", "face", "u", document='{"source":{"url":"https://x.example/f"}}')
        self.jobs: dict[str, JobView] = {}
        self.pods: dict[str, PodView] = {}
        self.prepared: dict[str, Prepared] = {}
        self.users: set[str] = set()
        self.seen = Seen(self.avatar)
        self.names: set[str] = set()
        self.gone = False
        self.version = 0

    def live(self) -> Seen:
        return Seen(
            self.avatar,
            tuple(self.jobs.values()),
            tuple(self.pods.values()),
            dict(self.prepared),
            tuple(sorted(self.users)),
            live=True,
        )

    def write(self, guard: str, avatar: AvatarObject) -> bool:
        """A guarded write; refused when the picture was out of date."""
        if guard != self.avatar.resource_version or self.gone:
            return False
        self.version += 1
        self.avatar = replace(avatar, resource_version=str(self.version))
        return True

    def apply(self, seen: Seen, decision: Decision, steps: int) -> None:
        """As the shell does; after `steps` requests the operator dies."""
        guard = seen.avatar.resource_version
        for act in self._requests(decision)[:steps]:
            if not self._act(act, guard, decision):
                return
            guard = self.avatar.resource_version

    def _act(self, act: str, guard: str, decision: Decision) -> bool:
        if act == "create":
            return self._create(decision)
        if act == "deletes":
            for gone in decision.deletes:
                self.remove(gone.name)
            return True
        after = self.avatar
        if act == "status":
            assert decision.status is not None
            after = replace(after, status=decision.status)
        else:
            after = replace(after, finalizers=(IN_USE,) if act == "finalizer" else ())
        written = self.write(guard, after)
        if written and act == "drop":
            assert not self.users
            self.gone = True
        return written

    def _requests(self, decision: Decision) -> list[str]:
        wanted = {
            "finalizer": decision.add_finalizer,
            "create": decision.create is not None,
            "status": decision.status is not None,
            "deletes": bool(decision.deletes),
            "drop": decision.drop_finalizer,
        }
        return [name for name, there in wanted.items() if there]

    def _create(self, decision: Decision) -> bool:
        assert decision.create is not None
        metadata = decision.create["metadata"]
        name, labels = metadata["name"], metadata["labels"]
        if name in self.jobs:
            return False
        assert name not in self.names, f"{name} is made twice"
        self.names.add(name)
        attempt, generation = (int(labels[f"avatars.dev/{key}"]) for key in ("attempt", "generation"))
        self.jobs[name] = JobView(
            name, name, "u", attempt, int(self.now), int(self.now), generation=generation
        )
        return True

    def remove(self, name: str) -> None:
        """A Job goes, and its pods and their words with it."""
        if self.jobs.pop(name, None) is not None:
            self.pods = {uid: pod for uid, pod in self.pods.items() if pod.job_uid != name}
            self.prepared.pop(name, None)


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()

    # the world

    @rule()
    @precondition(lambda self: not self.cluster.avatar.deleting)
    def another_spec(self) -> None:
        avatar = self.cluster.avatar
        self.cluster.write(avatar.resource_version, replace(avatar, generation=avatar.generation + 1))

    @rule(user=st.sampled_from("abcd"))
    def a_session_comes_or_goes(self, user: str) -> None:
        self.cluster.users ^= {user}

    @rule()
    def it_is_deleted(self) -> None:
        avatar = self.cluster.avatar
        if not avatar.finalizers:
            self.cluster.gone = True
        self.cluster.write(avatar.resource_version, replace(avatar, deleting=True))

    @rule(reason=st.sampled_from(ENDS), told=st.booleans(), finished=st.booleans())
    def a_pod_fails(self, reason: Reason, told: bool, finished: bool) -> None:
        for job in list(self.cluster.jobs.values()):
            if job.finished:
                continue
            report = Report(reason, "why") if told else None
            ended = ContainerView(
                started_at=1, ended_at=2, exit_code=REASONS[reason].exit_code, report=report
            )
            pod = PodView(f"p-{job.name}", f"p-{job.name}", job.name, 1, phase="Failed", container=ended)
            self.cluster.pods[pod.uid] = pod
            if finished:
                self.cluster.jobs[job.name] = replace(job, finished="Failed")

    @rule(words=st.booleans(), finished=st.booleans())
    def a_pod_succeeds(self, words: bool, finished: bool) -> None:
        for job in list(self.cluster.jobs.values()):
            if job.finished:
                continue
            pod = PodView(f"p-{job.name}", f"p-{job.name}", job.name, 1, phase="Succeeded")
            self.cluster.pods[pod.uid] = pod
            if words:
                self.cluster.prepared[job.name] = Prepared(f"sha256:{job.generation}")
            if finished:
                self.cluster.jobs[job.name] = replace(job, finished="Complete")

    @rule()
    def somebody_deletes_a_job(self) -> None:
        for name in list(self.cluster.jobs)[:1]:
            self.cluster.remove(name)
            if self.cluster.avatar.status.job_name != name:
                self.cluster.names.discard(name)  # nobody remembers it

    @rule(seconds=st.sampled_from([1, 59, 301, 3700]))
    def time_goes_by(self, seconds: int) -> None:
        self.cluster.now += seconds

    # the operator

    @rule()
    def caches_are_brought_up_to_date(self) -> None:
        self.cluster.seen = replace(self.cluster.live(), live=False)

    @rule(steps=st.sampled_from([0, 1, 2, 9, 9, 9]))
    def the_operator_looks(self, steps: int) -> None:
        if self.cluster.gone:
            return
        seen = self.cluster.seen
        decision = reconcile_avatar(seen, SETTINGS, self.cluster.now)
        if decision.look:
            seen = self.cluster.seen = self.cluster.live()
            decision = reconcile_avatar(seen, SETTINGS, self.cluster.now)
            assert not decision.look
        if not seen.live:  # who uses it is known from caches alone: here they don't lag
            seen = replace(seen, users=tuple(sorted(self.cluster.users)))
            decision = reconcile_avatar(seen, SETTINGS, self.cluster.now)
        self.cluster.apply(seen, decision, steps)
        self.cluster.seen = replace(self.cluster.seen, live=False)

    # what always holds

    @invariant()
    def ready_is_of_its_own_spec(self) -> None:
        avatar = self.cluster.avatar
        ready = avatar.status.ready
        if ready is not None and ready.truth == "True":
            prepared = avatar.status.prepared
            assert prepared is not None
            assert prepared.bundle == f"sha256:{ready.generation}"

    @invariant()
    def it_is_not_gone_while_it_is_used(self) -> None:
        if self.cluster.gone and self.cluster.avatar.resource_version:
            assert not self.cluster.avatar.finalizers

    def teardown(self) -> None:
        """Faults end; then all comes to rest, and nothing is written any more."""
        cluster = self.cluster
        cluster.users.clear()
        for _ in range(60):
            if cluster.gone:
                return
            self.caches_are_brought_up_to_date()
            self.the_operator_looks(9)
            if cluster.avatar.status.ready is None or cluster.avatar.status.ready.truth == "Unknown":
                self.a_pod_succeeds(words=True, finished=True)
            cluster.now += 4000
        assert not cluster.avatar.deleting
        ready = cluster.avatar.status.ready
        assert ready is not None
        assert ready.generation == cluster.avatar.generation
        assert ready.truth == "True" or not worth_retrying(Reason(ready.reason))
        assert cluster.jobs == {}
        assert reconcile_avatar(replace(cluster.live(), live=False), SETTINGS, cluster.now) == Decision()


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
