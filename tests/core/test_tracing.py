"""Spans: none unless they are asked for, and as a collector reads them when they are."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests.support.otlp_receiver import Receiver, otlp_receiver

from avatar_core.tracing import NoSpans, spans_of, trace_id_of

UID = "11111111-2222-3333-4444-555555555555"
ENDPOINT, HEADERS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with otlp_receiver() as made:
        yield made


def test_a_trace_is_known_from_the_status() -> None:
    assert trace_id_of(UID, 1) == trace_id_of(UID, 1) != trace_id_of(UID, 2)
    assert len(bytes.fromhex(trace_id_of(UID, 1))) == 16
    # As docs/operator.md tells it.
    told = subprocess.run(["sha256sum"], input=f"{UID}/1", capture_output=True, text=True, check=True)
    assert told.stdout[:32] == trace_id_of(UID, 1)


def test_without_an_endpoint_nothing_is_imported_or_made() -> None:
    program = (
        "import sys, avatar_core.tracing as t; spans = t.spans_of({'OTEL_SERVICE_NAME': 'x'}, 'x');"
        "span = spans.begin('a', {}); span.tell({'b': 1}); span.end(); spans.close(1);"
        "print(type(spans).__name__, repr(span.traceparent), [m for m in sys.modules if 'opentele' in m])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "NoSpans '' []"


def test_spans_of_two_processes_are_one_trace(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, receiver.url)
    monkeypatch.setenv(HEADERS, "authorization=Bearer%20s3cret,x-team=a")
    trace = trace_id_of(UID, 3)
    asked = {ENDPOINT: receiver.url}
    ours, theirs = spans_of(asked, "ours", trace), spans_of(asked, "theirs")
    root = ours.begin("session", {"avatar.attempt": 3})
    child = ours.begin("render", {}, root.traceparent)
    served = theirs.begin("Render", {}, child.traceparent, remote=True)
    alone = theirs.begin("Render", {}, "00-nonsense-01", remote=True)
    for span, reason in ((served, ""), (alone, "Overloaded"), (child, ""), (root, "")):
        span.end(reason)
    for each in (ours, theirs):
        each.close(5)
    found = {(s.service, s.name, s.parent != ""): s for s in receiver.spans}
    whole, render = found["ours", "session", False], found["ours", "render", True]
    server, other = found["theirs", "Render", True], found["theirs", "Render", False]
    assert {whole.trace, render.trace, server.trace} == {trace}
    assert (render.parent, server.parent) == (whole.span, render.span)
    assert root.traceparent.startswith(f"00-{trace}-{whole.span}-")
    assert (whole.facts, whole.failed) == ({"avatar.attempt": 3}, False)
    assert (other.facts, other.failed) == ({"error.type": "Overloaded"}, True)
    assert other.trace != trace
    assert (server.kind, render.kind) == (2, 1)
    assert whole.begin <= render.begin <= server.begin <= server.end <= whole.end
    assert {(h["authorization"], h["x-team"]) for h in receiver.headers} == {("Bearer s3cret", "a")}


def test_what_is_not_spoken_is_told_and_there_are_none(caplog: pytest.LogCaptureFixture) -> None:
    asked = {ENDPOINT: "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert isinstance(spans_of(asked, "x"), NoSpans)
    assert "http/protobuf alone, not grpc" in caplog.text


def test_a_secret_header_that_is_none_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    asked = {ENDPOINT: "http://127.0.0.1:1", HEADERS: "Bearer s3cret"}
    assert isinstance(spans_of(asked, "x"), NoSpans)
    assert HEADERS in caplog.text
    assert "s3cret" not in caplog.text


def test_a_collector_that_hangs_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv(ENDPOINT, url)
        spans = spans_of({ENDPOINT: url}, "x")
        spans.begin("a", {}).end()
        began = time.monotonic()
        spans.close(0.3)
        assert time.monotonic() - began < 2
