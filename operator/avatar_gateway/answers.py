"""Failures as HTTP answers: `{"reason", "error"}`, from which a client raises the same typed error."""

from __future__ import annotations

from aiohttp import web

from avatar_core.cluster.kube import KubeError
from avatar_core.cluster.tokens import CallerError
from avatar_core.errors import AvatarError, InvalidInputError, Reason, StoreError

RETRY_SECONDS = 2.0
_STATUSES = {Reason.STORE_FULL: 507, Reason.STORE_DENIED: 403, Reason.STORE_UNAVAILABLE: 503}
_CALLERS = {401: Reason.UNAUTHENTICATED, 403: Reason.STORE_DENIED, 429: Reason.STORE_UNAVAILABLE}

_VIEWERS = {403: Reason.UNAUTHENTICATED, 404: Reason.STORE_DENIED, 410: Reason.VIDEO_EXPIRED}


class TooLargeError(InvalidInputError):
    """The body is larger than what is taken."""


class DamagedError(InvalidInputError):
    """The body is not what its digest says."""


class RefusedError(AvatarError):
    """A viewer gets nothing.

    Args:
        status: 403, 404 or 410.
        message: for a person; tells nothing to who has no right to know.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(_VIEWERS[status], message)
        self.status = status


def refusal(error: AvatarError) -> web.Response:
    """The answer that tells of a failure."""
    status, reason, wait = _told(error)
    headers = {} if wait is None else {"Retry-After": str(max(1, round(wait)))}
    # Where the store is, and how its library puts it, is for the log.
    text = (
        f"{error.info.advice} The gateway's log tells more." if isinstance(error, StoreError) else str(error)
    )
    body = {"reason": reason.value, "error": text}
    return web.json_response(body, status=status, headers=headers)


def missing(key: object) -> web.Response:
    """The answer about an object that is not there."""
    body = {"reason": Reason.STORE_DENIED.value, "error": f"there is no {key}"}
    return web.json_response(body, status=404)


def _told(error: AvatarError) -> tuple[int, Reason, float | None]:
    """Status, reason, and seconds to wait."""
    if isinstance(error, RefusedError):
        return error.status, error.reason, None
    if isinstance(error, CallerError):
        return error.status, _CALLERS[error.status], error.retry_after
    if isinstance(error, KubeError):
        return 503, Reason.STORE_UNAVAILABLE, error.retry_after or RETRY_SECONDS
    if isinstance(error, TooLargeError):
        return 413, Reason.STORE_DENIED, None
    if isinstance(error, DamagedError):
        return 422, Reason.STORE_UNAVAILABLE, None
    status = _STATUSES.get(error.reason, 422)
    reason = error.reason if error.reason in _STATUSES else Reason.STORE_DENIED
    return status, reason, RETRY_SECONDS if status == 503 else None
