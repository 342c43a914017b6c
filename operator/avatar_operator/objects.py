"""Objects of a cluster as decisions see them: plain values, nothing of a Kubernetes client.

Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from avatar_core.errors import Reason
from avatar_operator.status import Status


@dataclass(frozen=True, slots=True)
class SpecView:
    """What decisions need of a session's spec.

    Attributes:
        source: which input is set.
        document: the whole spec as canonical JSON, for the pod.
        avatar_ref, provider_ref, continue_from: names of the same namespace; empty when not set.
        start_timeout, timeout, video_ttl, session_ttl: seconds; `session_ttl` None keeps the session.
        suspend, cancel, retry: as written.
    """

    source: Literal["prompt", "text", "audio"] = "text"
    document: str = "{}"
    avatar_ref: str = ""
    provider_ref: str = ""
    continue_from: str = ""
    start_timeout: int = 300
    timeout: int = 120
    video_ttl: int = 3600
    session_ttl: int | None = None
    suspend: bool = False
    cancel: bool = False
    retry: int = 0


@dataclass(frozen=True, slots=True)
class SessionView:
    """An AvatarSession.

    Attributes:
        created: when.
        resource_version: of the picture; every write of status or finalizer names it.
        deleting: it has a deletion timestamp.
        kept: our finalizer is on it.
        queue: Kueue's local queue, empty without.
        invalid: why the spec can't be read by this version; empty when it can.
    """

    namespace: str
    name: str
    uid: str
    created: int = 0
    generation: int = 1
    resource_version: str = ""
    deleting: bool = False
    kept: bool = False
    queue: str = ""
    spec: SpecView = SpecView()
    status: Status = field(default_factory=Status)
    invalid: str = ""

    @property
    def key(self) -> str:
        """As people name it."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class JobView:
    """A Job that carries the label of a session or an avatar, or one of its names.

    Attributes:
        owner_uid: of its controller; empty without one.
        attempt: from its label; 0 without.
        generation: of the spec it was made for, from its label; 0 without.
        started: when it was last let go on; None while suspended.
        finished: "Complete" or "Failed" once it is over.
        failure: reason of its Failed condition, such as "DeadlineExceeded".
    """

    name: str
    uid: str
    owner_uid: str
    attempt: int
    created: int
    started: int | None = None
    suspended: bool = False
    finished: Literal["", "Complete", "Failed"] = ""
    failure: str = ""
    deleting: bool = False
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """A termination message that says why a session ended, in our own words."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ContainerView:
    """The session container of a pod, as its kubelet tells.

    Attributes:
        waiting, waiting_message: why it has not started, such as "ErrImagePull".
        started_at, ended_at: of its one run.
        exit_code, end_reason: how it ended, such as 137 and "OOMKilled".
        report: its termination message.
    """

    waiting: str = ""
    waiting_message: str = ""
    started_at: int | None = None
    ended_at: int | None = None
    exit_code: int | None = None
    end_reason: str = ""
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of the session, of any attempt.

    Attributes:
        job_uid: of the Job that controls it.
        gone_by: its deletion timestamp: when its grace ends; None while it is not being deleted.
        ready: its Ready condition; "Unknown" when its node is silent.
        disrupted: evicted, preempted or drained; not its own fault.
        unschedulable: the scheduler's message; empty when it has a node or was not looked at.
        reason: why it failed as a whole, such as "Evicted".
    """

    name: str
    uid: str
    job_uid: str
    created: int
    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"] = "Pending"
    gone_by: int | None = None
    ready: Literal["True", "False", "Unknown"] = "False"
    disrupted: bool = False
    unschedulable: str = ""
    reason: str = ""
    container: ContainerView = ContainerView()

    @property
    def over(self) -> bool:
        """Its process has ended for good."""
        return self.phase in {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One key of a Secret of the namespace; only named, never read."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class AvatarView:
    """The Avatar a session names.

    Attributes:
        found: whether there is one; True for the built-in.
        ready: its Ready condition.
        message: of that condition.
        bundle: id of its bundle; empty for the built-in.
        deleting: it goes once no session uses it any more.
    """

    found: bool = True
    ready: bool = True
    message: str = ""
    bundle: str = ""
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class ProviderView:
    """The provider a session names, or the one called `default`.

    Attributes:
        found, ready, message: as of an Avatar.
        has_llm: whether a prompt can be answered.
        document: its spec as canonical JSON.
        llm_key, speech_key: where its keys are.
    """

    found: bool = True
    ready: bool = True
    message: str = ""
    has_llm: bool = False
    document: str = "{}"
    llm_key: SecretKey | None = None
    speech_key: SecretKey | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of an earlier session."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class HistoryView:
    """The session named by `continueFrom`, and those before it, oldest turn first."""

    found: bool = True
    succeeded: bool = True
    finished: bool = True
    turns: tuple[Turn, ...] = ()
