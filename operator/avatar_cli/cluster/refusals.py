"""What an API server refuses, as failures of the one tree with what to do. Pure."""

from __future__ import annotations

import json

from avatar_core.cluster.kube import KubeError
from avatar_core.errors import AvatarError, Reason
from avatar_core.mistakes import printable


def explained(error: KubeError) -> AvatarError:
    """The failure that a person is told."""
    said = printable(error.said).strip() or error.cause
    if error.code == 404:
        return _not_found(said)
    if error.code in _REFUSALS:
        reason, message = _REFUSALS[error.code]
        return AvatarError(reason, message.format(said=said))
    message = (
        f"the cluster says {error.code}: {said}" if error.code else f"the cluster does not answer: {said}"
    )
    return AvatarError(Reason.CLUSTER_UNAVAILABLE, message, retry_after=error.retry_after)


_REFUSALS = {
    401: (Reason.FORBIDDEN, "the cluster does not know who you are; log in to it again"),
    403: (Reason.FORBIDDEN, "{said}"),
    409: (Reason.NOT_POSSIBLE, "somebody changed it meanwhile; try again ({said})"),
    422: (Reason.INVALID_SPEC, "{said}"),
}


def refusal(code: int, body: bytes) -> AvatarError:
    """The same of an answer's status and body."""
    return explained(status_of(code, body) or KubeError(code, "", body[:500].decode(errors="replace")))


def status_of(code: int, body: bytes) -> KubeError | None:
    """The Status in a body of the API server itself; None when somebody else answered through it."""
    try:
        status = json.loads(body)
    except ValueError:
        return None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return None
    return KubeError(code, str(status.get("reason", "")), str(status.get("message", "")))


def _not_found(said: str) -> AvatarError:
    # An object that is missing is named in quotes; a kind that is missing is not.
    if '"' in said:
        return AvatarError(Reason.SESSION_NOT_FOUND, said)
    message = "the cluster knows no avatars.dev/v1alpha1; install the chart avatar-operator first"
    return AvatarError(Reason.NOT_POSSIBLE, message)
