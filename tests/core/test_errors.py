import grpc
import pytest

from avatar_core.errors import REASONS, AvatarError, DeadlineError, InferenceError, InvalidInputError, Reason
from avatar_inference.status import DETAILS_KEY, from_rpc_error, to_status


def test_every_reason_is_explained_and_mapped() -> None:
    assert set(REASONS) == set(Reason)
    for reason, info in REASONS.items():
        assert hasattr(grpc.StatusCode, info.grpc), reason
        assert info.advice.endswith("."), reason
        assert info.retry == (40 <= info.exit_code <= 69), reason


def test_only_bugs_are_internal() -> None:
    assert [reason for reason, info in REASONS.items() if info.grpc == "INTERNAL"] == [Reason.INTERNAL]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_survives_the_wire(reason: Reason) -> None:
    sent = AvatarError(reason, "what to do", field="spec.video.fps", retry_after=2.5)
    status = to_status(sent)
    code = getattr(grpc.StatusCode, sent.info.grpc)
    metadata = grpc.aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    received = from_rpc_error(
        grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, status.message), "host:1"
    )
    assert (received.reason, received.message, received.field, received.retry_after) == (
        sent.reason,
        sent.message,
        sent.field,
        sent.retry_after,
    )
    assert isinstance(received, InvalidInputError if sent.info.grpc == "INVALID_ARGUMENT" else InferenceError)


def test_a_status_without_details_still_has_a_reason() -> None:
    for code in grpc.StatusCode:
        error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "connection refused")
        assert from_rpc_error(error, "host:1").reason in Reason
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "refused"
    )
    assert str(from_rpc_error(error, "host:1")) == "inference server host:1: refused"


def test_a_deadline_names_stage_and_percent() -> None:
    error = DeadlineError("render", 65, 120)
    assert "stage render at 65 %" in str(error)
    assert error.info.exit_code == 124
