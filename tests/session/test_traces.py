"""A session's trace: pod, gateway and inference server are real, the collector is a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.conftest import UID, Gateway, gateway
from tests.session.test_cluster_run import TEXT, Operator, Pod, operator, pod
from tests.support.inference_process import InferenceProcess, inference_process
from tests.support.otlp_receiver import Received, Receiver, otlp_receiver

from avatar_core.tracing import trace_id_of

__all__ = ["gateway", "operator", "pod"]
SERVER, INTERNAL = 2, 1


@pytest.fixture(autouse=True)
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Gateway and inference server send it their spans, soon."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with otlp_receiver() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        yield made


@pytest.fixture
def server(receiver: Receiver, tmp_path: Path) -> Iterator[InferenceProcess]:
    """One that was started with that environment."""
    (tmp_path / "inference").mkdir()
    with inference_process(tmp_path / "inference") as running:
        yield running


def traced(pod: Pod, receiver: Receiver) -> str:
    """The trace's id, as the operator writes it."""
    pod.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
    pod.document["trace"] = trace_id_of(UID, 1)
    return str(pod.document["trace"])


def one(spans: list[Received], name: str) -> Received:
    (found,) = [span for span in spans if span.name == name]
    return found


async def test_a_session_is_one_trace_wherever_it_is_worked_on(
    pod: Pod, operator: Operator, gateway: Gateway, receiver: Receiver
) -> None:
    trace = traced(pod, receiver)
    code, log = await pod.run()
    assert code == 0
    spans = await asyncio.to_thread(receiver.until, lambda found: len(found) >= 7)
    assert {span.trace for span in spans} == {trace}
    whole = one(spans, "session")
    assert whole.facts["avatar.session"] == "ns/hello"
    assert whole.facts["avatar.frames"] == one(spans, "Render").facts["avatar.frames"]
    assert whole.parent == ""
    for stage in ("speech", "render", "publish"):
        span = one(spans, stage)
        assert (span.parent, span.kind, span.service) == (whole.span, INTERNAL, "avatar-session")
        assert whole.begin <= span.begin <= span.end <= whole.end
    served = one(spans, "Render")
    assert (served.parent, served.kind, served.service) == (
        one(spans, "render").span,
        SERVER,
        "avatar-inference",
    )
    assert served.facts["avatar.render"] == whole.facts["avatar.render"]
    stored = {span.facts["avatar.object"] for span in spans if span.name == "store"}
    assert stored == {"video.mp4", "result.json"}
    assert {s.parent for s in spans if s.service == "avatar-gateway"} == {one(spans, "publish").span}
    assert not any(span.failed for span in spans)
    assert any(line.get("trace") == trace for line in log)
    sent = b"".join(receiver.bodies)
    for word in TEXT.split():
        assert len(word) < 5 or word.encode() not in sent, "what is said is not in a span"


async def test_an_attempt_that_fails_says_why(pod: Pod, operator: Operator, receiver: Receiver) -> None:
    traced(pod, receiver)
    pod.document["avatar"] = f"sha256:{'0' * 64}"
    code, _ = await pod.run()
    assert (code != 0, pod.words["reason"]) == (True, "AvatarNotFound")
    names = {"session", "render", "Render"}
    spans = await asyncio.to_thread(receiver.until, lambda found: names <= {s.name for s in found})
    for name in names:
        assert one(spans, name).failed
        assert one(spans, name).facts["error.type"] == "AvatarNotFound"


async def test_a_collector_that_is_gone_costs_a_second(
    pod: Pod, operator: Operator, gateway: Gateway
) -> None:
    pod.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    code, _ = await pod.run()
    assert code == 0
    assert len(operator.results) == 1
