"""Typed errors over the wire: AvatarError -> google.rpc.Status with details, and back."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from avatar_core.errors import DOMAIN, REASONS, AvatarError, InferenceError, InvalidInputError, Reason

DETAILS_KEY = "grpc-status-details-bin"

_FALLBACK = {
    grpc.StatusCode.UNAVAILABLE: Reason.INFERENCE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED: Reason.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.OVERLOADED,
    grpc.StatusCode.INVALID_ARGUMENT: Reason.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
    grpc.StatusCode.NOT_FOUND: Reason.AVATAR_NOT_FOUND,
}


def duration(seconds: float) -> Duration:
    """A protobuf Duration of so many seconds."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1_000_000_000))
    return message


def to_status(error: AvatarError) -> status_pb2.Status:
    """The status of an error: its code, message and details ErrorInfo, BadRequest, RetryInfo."""
    code = getattr(grpc.StatusCode, error.info.grpc)
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=duration(error.retry_after)))
    packed = []
    for detail in details:
        box = AnyMessage()
        box.Pack(detail)
        packed.append(box)
    return status_pb2.Status(code=code.value[0], message=str(error), details=packed)


async def abort(context: Any, error: AvatarError) -> NoReturn:
    """Ends a call on the server's side by the status of an error."""
    status = to_status(error)
    details = ((DETAILS_KEY, status.SerializeToString()),)
    await context.abort(getattr(grpc.StatusCode, error.info.grpc), status.message, trailing_metadata=details)
    raise AssertionError


def from_rpc_error(error: grpc.aio.AioRpcError, target: str) -> AvatarError:
    """The typed error behind a failed call; codes without details get the reason nearest to them."""
    reason = _FALLBACK.get(error.code(), Reason.INTERNAL)
    message, field, retry_after = error.details() or error.code().name.lower(), None, None
    if reason is Reason.INFERENCE_UNAVAILABLE:
        message = f"inference server {target}: {message}"
    for key, value in error.trailing_metadata() or ():
        if key != DETAILS_KEY:
            continue
        for detail in status_pb2.Status.FromString(value).details:
            reason, message, field, retry_after = _read(detail, (reason, message, field, retry_after))
    kind = InvalidInputError if REASONS[reason].grpc == "INVALID_ARGUMENT" else InferenceError
    return kind(reason, message, field=field, retry_after=retry_after)


def _read(
    detail: AnyMessage, known: tuple[Reason, str, str | None, float | None]
) -> tuple[Reason, str, str | None, float | None]:
    """Adds one detail to what is known of an error (reason, message, field, retry_after)."""
    reason, message, field, retry_after = known
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    if detail.Unpack(info) and info.domain == DOMAIN and info.reason in list(Reason):
        reason = Reason(info.reason)
    elif detail.Unpack(bad) and bad.field_violations:
        field, message = bad.field_violations[0].field, bad.field_violations[0].description
    elif detail.Unpack(retry):
        retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    return reason, message, field, retry_after
