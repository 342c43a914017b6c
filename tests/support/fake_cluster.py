"""A fake of what the operator acts on: API objects, the controllers behind them, kubelets and the store.

It models what makes operators wrong: optimistic locking, background deletion that leaves pods behind for a
while, finalizers, pods that go on running, nodes that fall silent, and a store that only a pod with a valid
token can write to. Times are Unix seconds; nothing happens by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from avatar_operator.decision import Deletion
from avatar_operator.names import ATTEMPT
from avatar_operator.objects import ContainerView, JobView, PodView, SessionView, SpecView
from avatar_operator.status import Result, Status, VideoFile

GRACE = 5
TIMEOUT = 120
POSTING = 10


class ConflictError(Exception):
    """The object has changed since it was read."""


class GoneError(Exception):
    """There is no such object (any more)."""


class ExistsError(Exception):
    """The name is taken."""


@dataclass
class Pod:
    view: PodView
    session: str
    silent: bool = False
    hung: bool = False
    committed: bool = False
    committed_at: float = 0
    message: Result | None = None


class Cluster:
    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.sessions: dict[str, SessionView] = {}
        self.jobs: dict[str, JobView] = {}
        self.deadlines: dict[str, int] = {}
        self.pods: dict[str, Pod] = {}
        self.store: dict[str, set[str]] = {}
        self.committed: dict[str, Result] = {}
        self.cleanups: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        self.ever_suspended: set[str] = set()
        self.avatar_ready = True
        self.quota_full = False
        self.store_down = False
        self.changes: list[tuple[str, str]] = []
        self.writes: list[str] = []
        self._count = 0

    # what the operator may do

    def patch_finalizer(self, uid: str, version: str, kept: bool) -> SessionView:
        session = self._checked(uid, version)
        self.writes.append("finalizer")
        return self._put(replace(session, kept=kept))

    def patch_status(self, uid: str, version: str, status: Status) -> SessionView:
        session = self._checked(uid, version)
        assert status != session.status, "an equal status was written"
        self.writes.append("status")
        return self._put(replace(session, status=status))

    def create_job(self, manifest: Mapping[str, Any]) -> None:
        metadata = manifest["metadata"]
        if metadata["name"] in self.jobs:
            raise ExistsError
        self.writes.append("job")
        owner = metadata["ownerReferences"][0]["uid"]
        job = JobView(
            metadata["name"],
            self.new("job"),
            owner,
            int(metadata["labels"][ATTEMPT]),
            int(self.now),
            started=int(self.now),
        )
        self.jobs[job.name] = job
        self.deadlines[job.name] = manifest["spec"]["activeDeadlineSeconds"]
        self.changed("job", owner)

    def delete(self, what: Deletion) -> None:
        self.writes.append(f"delete {what.kind}")
        if what.kind == "Job" and what.name in self.jobs and self.jobs[what.name].uid == what.uid:
            self.changed("job", self.jobs.pop(what.name).owner_uid)
        elif what.kind == "Pod" and what.name in self.pods:
            assert what.grace == 0
            self.changed("pod", self.pods.pop(what.name).session)
        elif what.kind == "AvatarSession":
            self.delete_session(what.uid)

    def start_cleanup(self, uid: str, attempt: int) -> None:
        self.writes.append("clean")
        self.cleanups[uid] = attempt

    def jobs_of(self, uid: str) -> tuple[JobView, ...]:
        return tuple(job for job in self.jobs.values() if job.owner_uid == uid)

    def pods_of(self, uid: str) -> tuple[Pod, ...]:
        return tuple(pod for pod in self.pods.values() if pod.session == uid)

    # what people do

    def add_session(self, namespace: str, spec: SpecView) -> str:
        uid = self.new("session")
        self._put(SessionView(namespace, uid, uid, created=int(self.now), spec=spec))
        self.store[uid] = set()
        return uid

    def change_spec(self, uid: str, **fields: Any) -> None:
        session = self.sessions[uid]
        spec = replace(session.spec, **fields)
        if spec.suspend:
            self.ever_suspended.add(uid)
        if spec != session.spec:
            self._put(replace(session, spec=spec, generation=session.generation + 1))

    def delete_session(self, uid: str) -> None:
        session = self.sessions.get(uid)
        if session is not None and not session.deleting:
            self._put(replace(session, deleting=True, generation=session.generation + 1))

    def delete_pod(self, name: str) -> None:
        pod = self.pods[name]
        if pod.view.gone_by is None:
            self._set(pod, gone_by=int(self.now) + GRACE)

    # what kubelets and processes do

    def start(self, pod: Pod) -> None:
        if pod.view.phase == "Pending" and not pod.silent and pod.view.gone_by is None:
            self._set(pod, phase="Running", ready="True", container=ContainerView(started_at=int(self.now)))
            if pod.session in self.committed:  # the first thing a process looks for
                pod.committed, pod.committed_at = True, self.now

    def write(self, pod: Pod, key: str) -> None:
        """A process writes to the store. Its token is good while its pod exists, on a silent node too."""
        if pod.view.phase == "Running" and pod.view.name in self.pods:
            self.store[pod.session].add(key)

    def commit(self, pod: Pod) -> Result | None:
        """A process publishes, or finds what was published. None: it is not running, or out of time."""
        if pod.view.phase != "Running" or pod.view.name not in self.pods:
            return None
        if pod.hung:
            return None
        if not pod.committed and self.now >= (pod.view.container.started_at or 0) + TIMEOUT:
            return None
        known = self.committed.get(pod.session)
        if known is None:
            known = Result(VideoFile(1000, pod.view.name, 1.0, 15))
            self.committed[pod.session] = known
            self.store[pod.session] |= {"video.mp4", "result.json"}
        pod.committed, pod.committed_at = True, self.now
        return known

    def hang(self, pod: Pod) -> None:
        """A process that does nothing any more, not even end in time."""
        pod.hung = not pod.committed

    def pass_time(self, seconds: float) -> None:
        """Processes end by themselves when their time is over, or soon after they have published."""
        self.now += seconds
        for pod in self.pods.values():
            if pod.committed and self.now >= pod.committed_at + POSTING:
                self.end(pod, 0)
            elif not pod.hung and self.now >= (pod.view.container.started_at or self.now) + TIMEOUT:
                self.end(pod, 124)

    def end(self, pod: Pod, code: int, *, oom: bool = False, told: bool = True) -> None:
        """A process ends by itself."""
        if pod.view.phase != "Running" or pod.silent:
            return
        if code == 0 and told:
            pod.message = self.committed.get(pod.session)
        container = replace(
            pod.view.container,
            exit_code=137 if oom else code,
            ended_at=int(self.now),
            end_reason="OOMKilled" if oom else "",
        )
        self._set(pod, phase="Failed" if code or oom else "Succeeded", ready="False", container=container)

    def evict(self, pod: Pod) -> None:
        if not pod.view.over:
            self._set(pod, disrupted=True)
            self.delete_pod(pod.view.name)

    def kill(self, pod: Pod) -> None:
        """The kubelet ends a pod that is being deleted; the object stays while its Job wants to count it.

        A process that has published says so within its grace; any other one says that it was told to end.
        """
        if pod.view.gone_by is None or pod.silent:
            return
        if pod.view.phase == "Pending":
            self._set(pod, phase="Failed", ready="False")
        self.end(pod, 0 if pod.committed else 130)
        if all(job.uid != pod.view.job_uid for job in self.jobs.values()):
            self.pods.pop(pod.view.name, None)
            self.changed("pod", pod.session)

    def silence(self, pod: Pod) -> None:
        """Its node stops answering; after 10 s of that the pod is marked for deletion."""
        if not pod.view.over:
            pod.silent = True
            self._set(pod, ready="Unknown", disrupted=True, gone_by=int(self.now) + 10 + GRACE)

    def clean(self, uid: str) -> None:
        """A clean-up Job empties a folder."""
        self.store.get(uid, set()).clear()
        self.committed.pop(uid, None)
        self.cleanups.pop(uid, None)

    # bookkeeping

    def _set(self, pod: Pod, **fields: Any) -> None:
        pod.view = replace(pod.view, **fields)
        self.changed("pod", pod.session)

    def _checked(self, uid: str, version: str) -> SessionView:
        if uid not in self.sessions:
            raise GoneError
        if self.sessions[uid].resource_version != version:
            raise ConflictError
        return self.sessions[uid]

    def _put(self, session: SessionView) -> SessionView:
        session = replace(session, resource_version=self.new("v"))
        if session.deleting and not session.kept:
            self.sessions.pop(session.uid, None)
        else:
            self.sessions[session.uid] = session
        self.changed("session", session.uid)
        return session

    def new(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def changed(self, kind: str, uid: str) -> None:
        self.changes.append((kind, uid))
