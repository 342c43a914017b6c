"""Where causes play: all side by side, on one cluster, before one operator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

from tests.cluster.cluster import Cluster
from tests.cluster.kubelet import Kubelet
from tests.cluster.operators import SESSIONS, Replica, World
from tests.cluster.pod_states import RUNNING, Json, PodState, ended
from tests.cluster.witness import Told, Witness

from avatar_core.errors import Reason

LIMIT_SECONDS = PATIENCE_SECONDS = 400


@dataclass(frozen=True, slots=True)
class Await:
    """Something that is waited for, and what to call it."""

    what: str
    look: Callable[[], object]


Steps = Iterator[Await]
Act = Callable[["Scene"], Steps | None]
Script = Callable[[Json], Iterable[PodState]]


@dataclass(frozen=True, slots=True)
class Cause:
    """One session that is brought to one reason.

    Attributes:
        act: what is done to it and around it; what it yields is waited for.
        name: of the session.
        truths: the condition's status, each of which the reason must be shown with, in this order.
        kind: of the condition.
        words: in each of its messages.
        place: a namespace of its own; empty for the common one.
        events: False where Kubernetes takes no Events.
        slow: takes more than five seconds.
    """

    reason: Reason
    act: Act
    name: str
    truths: tuple[str, ...]
    kind: str = "Succeeded"
    words: str = ""
    place: str = ""
    events: bool = True
    slow: bool = False


class Stoppable(Protocol):
    """Something that goes on by itself."""

    def stop(self) -> None:
        """Ends it."""
        ...


@dataclass
class Stage:
    """One operator, what it says, and what happens to the pods of its sessions.

    Attributes:
        world: the operator's, at the common namespace.
        scripts: what the pods of each session go through, by namespace and name.
        failures: what went wrong with a cause, by the name of its session.
        unclean: uids of sessions whose first clean-up is to fail, and the Job that did.
        heart: of the node, where the cluster listens for it.
        begin: lets the kubelet's node come.
    """

    world: World
    operator: Replica
    witness: Witness
    kubelet: Kubelet
    places: dict[str, str] = field(default_factory=dict)
    scripts: dict[tuple[str, str], Script] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    unclean: dict[str, str] = field(default_factory=dict)
    heart: Stoppable | None = None
    begin: Callable[[Kubelet], object] = lambda _: None

    def scene(self, cause: Cause) -> Scene:
        """Where a cause acts."""
        namespace = self.places[cause.place] if cause.place else self.world.namespace
        return Scene(self, replace(self.world, namespace=namespace), cause)

    def told(self, cause: Cause) -> Told:
        """What the operator said about a cause's session."""
        return self.scene(cause).told

    def play(self, causes: Iterable[Cause]) -> None:
        """Lets all causes act at once; each in turn goes on when what it waits for has come."""
        steps = {cause.name: self.scene(cause).steps() for cause in causes}
        pending: dict[str, Await] = {}
        end = time.monotonic() + LIMIT_SECONDS
        while steps and time.monotonic() < end:
            for name in list(steps):
                try:
                    while name not in pending or pending[name].look():
                        pending[name] = next(steps[name])
                except StopIteration:
                    del steps[name]
                except Exception as error:
                    self.failures[name] = f"{type(error).__name__}: {error}"
                    del steps[name]
            time.sleep(0.05)
        self.failures |= {name: f"never: {pending[name].what}" for name in steps}


@dataclass(frozen=True, slots=True)
class Scene:
    """One cause on the stage; `world` is at its namespace."""

    stage: Stage
    world: World
    cause: Cause

    @property
    def name(self) -> str:
        """Of the session."""
        return self.cause.name

    @property
    def told(self) -> Told:
        """What the operator said about it."""
        return self.stage.witness.of(self.world.namespace, self.name)

    def apply(self, **spec: Any) -> Json:
        """Makes the session. On a busy machine only those run out of time that shall."""
        return self.world.apply(self.name, **{"timeoutSeconds": PATIENCE_SECONDS, **spec})

    def pods(self, *states: PodState) -> None:
        """Every pod of the session goes through these, at once."""
        self.script(lambda _: states)

    def script(self, script: Script) -> None:
        """The same, pod by pod."""
        self.stage.scripts[self.world.namespace, self.name] = script

    def steps(self) -> Steps:
        """What the cause does, then all that must be shown in the end."""
        yield from self.cause.act(self) or ()
        for truth in self.cause.truths:
            yield self.shows(truth, self.cause.reason, self.cause.kind)
            if truth == "Unknown" and self.cause.kind == "Succeeded":
                yield self.counted(self.cause.reason)

    def shows(self, truth: str, reason: str, kind: str = "Succeeded") -> Await:
        """Until the condition has been so once."""
        return Await(f"{kind}={truth}, {reason}", lambda: self.told.shown(truth, reason, kind))

    def counted(self, reason: str) -> Await:
        """Until the metric has shown it in the phase in which it waits."""
        witness = self.stage.witness

        def look() -> bool:
            phases = {s["phase"] for s in self.told.statuses if _outcome(s) == ("Unknown", reason)}
            named = (self.world.namespace, self.name)
            return any(witness.counted(*named, phase, reason) for phase in phases)

        return Await(f'avatar_sessions{{reason="{reason}"}}', look)

    def pod(self, attempt: int = 1) -> Await:
        """Until the attempt has a pod."""
        return Await(f"a pod of attempt {attempt}", lambda: self.pod_names(attempt))

    def pod_names(self, attempt: int = 1) -> list[str]:
        """Of its pods."""
        labels = f"avatars.dev/session={self.name},avatars.dev/attempt={attempt}"
        path = f"/api/v1/namespaces/{self.world.namespace}/pods"
        found = self.world.cluster.rest.get(path, labelSelector=labels)["items"]
        return [pod["metadata"]["name"] for pod in found]

    @property
    def path(self) -> str:
        """Of the session in the API."""
        return f"{SESSIONS.format(self.world.namespace)}/{self.name}"


def _outcome(status: Json) -> tuple[str, str]:
    found = [c for c in status.get("conditions", ()) if c["type"] == "Succeeded"]
    return (found[0]["status"], found[0]["reason"]) if found else ("", "")


class Staging(ExitStack):
    """Builds stages, and leaves nothing behind.

    Args:
        cluster: with controllers and the CRDs.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def build(
        self,
        folder: Path,
        places: Iterable[str] = (),
        prepare: Callable[[Stage], None] = lambda _: None,
        *,
        nodes: bool = True,
        **changes: Any,
    ) -> Stage:
        """A stage.

        Args:
            folder: for the operator's files.
            places: names of further namespaces that it serves.
            prepare: is called before anything acts.
            nodes: whether there are any from the beginning.
            changes: to the operator's configuration.
        """
        world = World.make(self._cluster, folder)
        self.callback(world.stop)
        found = {place: world.another_namespace(place) for place in places}
        served = [world.namespace, world.release, *found.values()]
        operator = world.start(namespaces=served, **changes)
        witness = self.enter_context(Witness(self._cluster.rest, operator, served))
        kubelet = self._cluster.kubelet(world.namespace, lambda pod: _states(stage, pod))
        stage = Stage(world, operator, witness, kubelet, found, begin=self.enter_context)
        if nodes:
            self.enter_context(kubelet)
            self.enter_context(self._cluster.kubelet(world.release, lambda pod: _cleanup(stage, pod)))
        prepare(stage)
        return stage


def _states(stage: Stage, pod: Json) -> Iterable[PodState]:
    labels = pod["metadata"]["labels"]
    key = (pod["metadata"]["namespace"], labels.get("avatars.dev/session", ""))
    return stage.scripts.get(key, lambda _: ())(pod)


def _cleanup(stage: Stage, pod: Json) -> Iterable[PodState]:
    """Clean-up pods do their work, but for those of a first Job that is to fail."""
    job = pod["metadata"]["ownerReferences"][0]["uid"]
    told = pod["metadata"]["annotations"]["avatars.dev/folders"]
    failing = [uid for uid, first in stage.unclean.items() if uid in told and first in ("", job)]
    stage.unclean |= dict.fromkeys(failing, job)
    return RUNNING, ended(1 if failing else 0)
