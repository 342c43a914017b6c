"""One tree of typed errors, mapped once to gRPC codes, exit codes, actors and advice.

Every failure a person can meet is an `AvatarError` with a `Reason`. The table `REASONS` says the rest, so a
gRPC server, a Job's exit code, a condition and a terminal all tell the same story.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DOMAIN = "avatars.dev"


class Actor(StrEnum):
    """Who can do something about it."""

    USER = "user"
    ADMIN = "admin"
    NOBODY = "nobody"


class Reason(StrEnum):
    """Why something failed, in the CamelCase of Kubernetes conditions."""

    INVALID_SPEC = "InvalidSpec"
    INVALID_ARGUMENT = "InvalidArgument"
    INVALID_AUDIO = "InvalidAudio"
    AUDIO_TOO_LONG = "AudioTooLong"
    INVALID_PICTURE = "InvalidPicture"
    SOURCE_REFUSED = "SourceRefused"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_TOO_LARGE = "SourceTooLarge"
    SOURCE_MISMATCH = "SourceMismatch"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    NO_FACE = "NoFace"
    SEVERAL_FACES = "SeveralFaces"
    FACE_TOO_SMALL = "FaceTooSmall"
    AVATAR_NOT_FOUND = "AvatarNotFound"
    AVATAR_INVALID = "AvatarInvalid"
    PROVIDER_NOT_FOUND = "ProviderNotFound"
    LLM_UNAUTHORIZED = "LLMUnauthorized"
    LLM_NOT_FOUND = "LLMNotFound"
    LLM_BAD_REQUEST = "LLMBadRequest"
    LLM_RATE_LIMITED = "LLMRateLimited"
    LLM_UNAVAILABLE = "LLMUnavailable"
    LLM_INTERRUPTED = "LLMInterrupted"
    LLM_EMPTY_REPLY = "LLMEmptyReply"
    LLM_REFUSED = "LLMRefused"
    VOICE_NOT_FOUND = "VoiceNotFound"
    TEXT_UNREADABLE = "TextUnreadable"
    SPEECH_UNAUTHORIZED = "SpeechUnauthorized"
    SPEECH_NOT_FOUND = "SpeechNotFound"
    SPEECH_BAD_REQUEST = "SpeechBadRequest"
    SPEECH_RATE_LIMITED = "SpeechRateLimited"
    SPEECH_UNAVAILABLE = "SpeechUnavailable"
    SPEECH_INVALID = "SpeechInvalid"
    SPEECH_SILENT = "SpeechSilent"
    WEIGHTS_MISSING = "WeightsMissing"
    WEIGHTS_INVALID = "WeightsInvalid"
    WEIGHTS_UNAVAILABLE = "WeightsUnavailable"
    DISK_FULL = "DiskFull"
    OVERLOADED = "Overloaded"
    INFERENCE_UNAVAILABLE = "InferenceUnavailable"
    UNAUTHENTICATED = "Unauthenticated"
    SLOW_READER = "SlowReader"
    PREPARATION_TIMEOUT = "PreparationTimeout"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CANCELLED = "Cancelled"
    STORE_FULL = "StoreFull"
    STORE_DENIED = "StoreDenied"
    STORE_UNAVAILABLE = "StoreUnavailable"
    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    SESSION_NOT_FOUND = "SessionNotFound"
    FORBIDDEN = "Forbidden"
    NOT_POSSIBLE = "NotPossible"
    MISSING_DEPENDENCY = "MissingDependency"
    INTERNAL = "Internal"
    # What only a cluster can say: no process ends by these.
    AVATAR_NOT_READY = "AvatarNotReady"
    PROVIDER_NOT_READY = "ProviderNotReady"
    INSECURE_URL = "InsecureURL"
    HISTORY_NOT_FOUND = "HistoryNotFound"
    HISTORY_NOT_READY = "HistoryNotReady"
    SUSPENDED = "Suspended"
    WAITING_FOR_CAPACITY = "WaitingForCapacity"
    QUEUED = "Queued"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    JOB_NAME_TAKEN = "JobNameTaken"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_SECURITY_VIOLATION = "PodSecurityViolation"
    SERVICE_ACCOUNT_NOT_FOUND = "ServiceAccountNotFound"
    POD_REFUSED = "PodRefused"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105
    CONTAINER_CANNOT_START = "ContainerCannotStart"
    START_TIMEOUT = "StartTimeout"
    POD_DISRUPTED = "PodDisrupted"
    NODE_LOST = "NodeLost"
    OOM_KILLED = "OOMKilled"
    POD_FAILED = "PodFailed"
    RESULT_LOST = "ResultLost"
    VIDEO_EXPIRED = "VideoExpired"
    CLEANUP_FAILED = "CleanupFailed"


@dataclass(frozen=True, slots=True)
class ReasonInfo:
    """What follows from a reason.

    Attributes:
        grpc: name of the gRPC status code.
        exit_code: of a process that ends by it: 2 for a bad command line or manifest, 10..39 final,
            40..69 worth another attempt, 70 a bug, 124 out of time, 130 cancelled. 39 and 69 stand for what
            only a cluster can say; no pod ends by them.
        actor: who can mend it.
        retry: whether the same request may succeed later with nothing changed.
        advice: one sentence for a person.
    """

    grpc: str
    exit_code: int
    actor: Actor
    retry: bool
    advice: str


_USER, _ADMIN, _NOBODY = Actor.USER, Actor.ADMIN, Actor.NOBODY
_BAD, _STATE, _DOWN = "INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNAVAILABLE"
CLUSTER_FINAL, CLUSTER_AGAIN = 39, 69


def _waits(actor: Actor, advice: str) -> ReasonInfo:
    return ReasonInfo(_DOWN, CLUSTER_AGAIN, actor, True, advice)


def _ends(actor: Actor, advice: str) -> ReasonInfo:
    return ReasonInfo(_STATE, CLUSTER_FINAL, actor, False, advice)


REASONS: dict[Reason, ReasonInfo] = {
    Reason.INVALID_SPEC: ReasonInfo(_BAD, 2, _USER, False, "Correct the named field and apply again."),
    Reason.INVALID_ARGUMENT: ReasonInfo(_BAD, 2, _USER, False, "Correct the named field and send it again."),
    Reason.INVALID_AUDIO: ReasonInfo(_BAD, 10, _USER, False, "Give a file with one readable sound track."),
    Reason.AUDIO_TOO_LONG: ReasonInfo(_BAD, 10, _USER, False, "Cut the sound into shorter pieces."),
    Reason.INVALID_PICTURE: ReasonInfo(_BAD, 10, _USER, False, "Give a JPEG, PNG or a short video."),
    Reason.SOURCE_REFUSED: ReasonInfo(
        _BAD, 23, _USER, False, "Put the file at a public https:// address, or have its network allowed."
    ),
    Reason.SOURCE_NOT_FOUND: ReasonInfo(_BAD, 23, _USER, False, "Open the address in a browser to check it."),
    Reason.SOURCE_TOO_LARGE: ReasonInfo(_BAD, 23, _USER, False, "Give a smaller file."),
    Reason.SOURCE_MISMATCH: ReasonInfo(_BAD, 23, _USER, False, "Give the hash of the file as it is now."),
    Reason.SOURCE_UNREACHABLE: ReasonInfo(_DOWN, 50, _USER, True, "Check that the address's server answers."),
    Reason.NO_FACE: ReasonInfo(_BAD, 11, _USER, False, "Use a picture with one face seen from the front."),
    Reason.SEVERAL_FACES: ReasonInfo(_BAD, 11, _USER, False, "Crop the picture or say which face to take."),
    Reason.FACE_TOO_SMALL: ReasonInfo(_BAD, 11, _USER, False, "Use a picture in which the face is larger."),
    Reason.AVATAR_NOT_FOUND: ReasonInfo(
        "NOT_FOUND", 12, _USER, False, "Run `avatar prepare FILE`, or apply an Avatar."
    ),
    Reason.AVATAR_INVALID: ReasonInfo(_STATE, 12, _USER, False, "Prepare the avatar again."),
    Reason.PROVIDER_NOT_FOUND: ReasonInfo("NOT_FOUND", 13, _USER, False, "Name a provider or use `text`."),
    Reason.LLM_UNAUTHORIZED: ReasonInfo(_STATE, 14, _ADMIN, False, "Check the LLM's API key."),
    Reason.LLM_NOT_FOUND: ReasonInfo(_STATE, 14, _USER, False, "Check base URL and model name."),
    Reason.LLM_BAD_REQUEST: ReasonInfo(_STATE, 14, _USER, False, "Change prompt or model."),
    Reason.LLM_RATE_LIMITED: ReasonInfo(_DOWN, 40, _ADMIN, True, "Wait, or raise the LLM's quota."),
    Reason.LLM_UNAVAILABLE: ReasonInfo(_DOWN, 41, _ADMIN, True, "Check that the LLM server runs."),
    Reason.LLM_INTERRUPTED: ReasonInfo(_DOWN, 41, _NOBODY, True, "Try again; the reply was cut off."),
    Reason.LLM_EMPTY_REPLY: ReasonInfo(_STATE, 15, _USER, False, "Rephrase the prompt."),
    Reason.LLM_REFUSED: ReasonInfo(_STATE, 15, _USER, False, "Rephrase the prompt."),
    Reason.VOICE_NOT_FOUND: ReasonInfo(_BAD, 16, _USER, False, "Choose a voice the provider has."),
    Reason.TEXT_UNREADABLE: ReasonInfo(_BAD, 16, _USER, False, "Choose a voice for the text's language."),
    Reason.SPEECH_UNAUTHORIZED: ReasonInfo(_STATE, 17, _ADMIN, False, "Check the TTS's API key."),
    Reason.SPEECH_NOT_FOUND: ReasonInfo(_STATE, 17, _USER, False, "Check TTS URL and model."),
    Reason.SPEECH_BAD_REQUEST: ReasonInfo(_STATE, 17, _USER, False, "Change text or voice."),
    Reason.SPEECH_RATE_LIMITED: ReasonInfo(_DOWN, 42, _ADMIN, True, "Wait, or raise the TTS's quota."),
    Reason.SPEECH_UNAVAILABLE: ReasonInfo(_DOWN, 43, _ADMIN, True, "Check that the TTS server runs."),
    Reason.SPEECH_INVALID: ReasonInfo(_STATE, 18, _ADMIN, False, "Check that the URL is a TTS."),
    Reason.SPEECH_SILENT: ReasonInfo(_STATE, 18, _USER, False, "Choose another voice."),
    Reason.WEIGHTS_MISSING: ReasonInfo(_STATE, 19, _ADMIN, False, "Run `avatar weights fetch`."),
    Reason.WEIGHTS_INVALID: ReasonInfo(_STATE, 19, _ADMIN, False, "Run `avatar weights fetch` again."),
    Reason.WEIGHTS_UNAVAILABLE: ReasonInfo(
        _DOWN, 48, _ADMIN, True, "Check that the weights' origin answers."
    ),
    Reason.DISK_FULL: ReasonInfo(_STATE, 21, _ADMIN, False, "Make room on the named disk."),
    Reason.OVERLOADED: ReasonInfo("RESOURCE_EXHAUSTED", 44, _ADMIN, True, "Try again later or add a server."),
    Reason.INFERENCE_UNAVAILABLE: ReasonInfo(_DOWN, 45, _ADMIN, True, "Check the inference server."),
    Reason.UNAUTHENTICATED: ReasonInfo("UNAUTHENTICATED", 20, _ADMIN, False, "Send a token for this server."),
    Reason.SLOW_READER: ReasonInfo("ABORTED", 46, _USER, True, "Read the video as it comes."),
    Reason.PREPARATION_TIMEOUT: ReasonInfo(
        "DEADLINE_EXCEEDED", 51, _ADMIN, True, "Give a shorter video, or raise `preparation.timeoutSeconds`."
    ),
    Reason.DEADLINE_EXCEEDED: ReasonInfo("DEADLINE_EXCEEDED", 124, _USER, False, "Raise `timeoutSeconds`."),
    Reason.CANCELLED: ReasonInfo("CANCELLED", 130, _USER, False, "It was asked for."),
    Reason.STORE_FULL: ReasonInfo(_STATE, 21, _ADMIN, False, "Make room in the video store."),
    Reason.STORE_DENIED: ReasonInfo(_STATE, 21, _ADMIN, False, "Allow writing to the store."),
    Reason.STORE_UNAVAILABLE: ReasonInfo(_DOWN, 47, _ADMIN, True, "Check that the store is reachable."),
    Reason.CLUSTER_UNAVAILABLE: ReasonInfo(_DOWN, 49, _USER, True, "Check that `kubectl version` answers."),
    Reason.SESSION_NOT_FOUND: ReasonInfo(
        "NOT_FOUND", 24, _USER, False, "`kubectl get avs -A` lists the sessions of all namespaces."
    ),
    Reason.FORBIDDEN: ReasonInfo(
        "PERMISSION_DENIED", 25, _ADMIN, False, "Ask an administrator for the right that is named."
    ),
    Reason.NOT_POSSIBLE: ReasonInfo(
        _STATE, 26, _USER, False, "`kubectl avatar describe NAME` tells how the session is."
    ),
    Reason.MISSING_DEPENDENCY: ReasonInfo(_STATE, 22, _USER, False, "Run `avatar doctor`."),
    Reason.INTERNAL: ReasonInfo("INTERNAL", 70, _NOBODY, False, "This is a bug; please report it."),
    Reason.AVATAR_NOT_READY: _waits(_USER, "Wait, or see the Avatar's Ready condition."),
    Reason.PROVIDER_NOT_READY: _waits(_USER, "See the AvatarProvider's Ready condition."),
    Reason.INSECURE_URL: _ends(_USER, "Use https://, or an address inside of the cluster."),
    Reason.HISTORY_NOT_FOUND: _ends(_USER, "Name a session of this namespace in `continueFrom`."),
    Reason.HISTORY_NOT_READY: _waits(_USER, "Wait until the session in `continueFrom` has succeeded."),
    Reason.SUSPENDED: _waits(_USER, "Set `suspend` to false to go on."),
    Reason.WAITING_FOR_CAPACITY: _waits(_NOBODY, "Its turn comes; an administrator may raise the limits."),
    Reason.QUEUED: _waits(_NOBODY, "Kueue lets it go on when its queue has room."),
    Reason.NAMESPACE_TERMINATING: _ends(_USER, "Use another namespace; this one is being deleted."),
    Reason.JOB_NAME_TAKEN: _ends(_USER, "Delete the Job of that name; it belongs to something else."),
    Reason.QUOTA_EXCEEDED: _waits(_ADMIN, "Wait for other pods to end, or raise the namespace's quota."),
    Reason.POD_SECURITY_VIOLATION: _ends(_ADMIN, "Allow restricted pods in this namespace."),
    Reason.SERVICE_ACCOUNT_NOT_FOUND: _ends(_ADMIN, "Create the ServiceAccount in this namespace."),
    Reason.POD_REFUSED: _ends(_ADMIN, "See what refuses the pod: a LimitRange, a policy or a webhook."),
    Reason.UNSCHEDULABLE: _waits(_ADMIN, "Wait for room on a node, or add a node that fits."),
    Reason.IMAGE_PULL_BACK_OFF: _waits(_ADMIN, "Check the image's name and the registry's credentials."),
    Reason.SECRET_NOT_FOUND: _ends(_USER, "Create the Secret and key that the provider names."),
    Reason.CONTAINER_CANNOT_START: _waits(_ADMIN, "See the pod's events."),
    Reason.START_TIMEOUT: _waits(_ADMIN, "Raise `startTimeoutSeconds`, or see the pod's events."),
    Reason.POD_DISRUPTED: _waits(_NOBODY, "Another pod follows; nothing is to be done."),
    Reason.NODE_LOST: _waits(_ADMIN, "Another pod follows elsewhere; see to the node."),
    Reason.OOM_KILLED: _ends(_ADMIN, "Raise the memory limit of session pods."),
    Reason.POD_FAILED: _ends(_ADMIN, "See the pod's log."),
    Reason.RESULT_LOST: _waits(_USER, "Raise `retry` for another attempt."),
    Reason.VIDEO_EXPIRED: _ends(_USER, "Apply a new session, with a higher `videoTTLSeconds`."),
    Reason.CLEANUP_FAILED: _waits(_ADMIN, "See the clean-up Job's log; it is tried again."),
}


class AvatarError(Exception):
    """A failure with a typed reason.

    Args:
        reason: one of `Reason`.
        message: a sentence: what is wrong, the allowed range, what to do. Never holds a secret.
        field: path of the wrong field, such as "spec.video.fps".
        retry_after: seconds after which another try makes sense.
    """

    def __init__(
        self, reason: Reason, message: str, *, field: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message

    @property
    def info(self) -> ReasonInfo:
        """What follows from the reason."""
        return REASONS[self.reason]


class InvalidInputError(AvatarError):
    """Something a person or a client sent is wrong; the same again would be wrong again."""


class ProviderError(AvatarError):
    """An LLM or TTS did not do its part."""


class InferenceError(AvatarError):
    """The inference server did not do its part."""


class WeightsError(InferenceError):
    """Weights are missing or damaged, or can't be fetched or kept."""


class StoreError(AvatarError):
    """The store did not take or give an object."""


class DeadlineError(AvatarError):
    """Time ran out.

    Args:
        stage: the stage that was running, such as "render".
        percent: how far that stage was, 0 to 100.
        seconds: the limit.
    """

    def __init__(self, stage: str, percent: int, seconds: float) -> None:
        super().__init__(
            Reason.DEADLINE_EXCEEDED,
            f"time ran out after {seconds:g} s in stage {stage} at {percent} %; raise spec.timeoutSeconds",
        )
        self.stage = stage
        self.percent = percent
