"""Spans of a session's work: what stages took, in whichever process they ran. Without an endpoint, nothing.

The standard environment decides: OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) says
where spans go, by OTLP over HTTP. OpenTelemetry is imported only then. A span holds names, numbers and
reasons, never what somebody wrote or what was answered.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from hashlib import sha256
from typing import Protocol

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP = "http/protobuf"
HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
TRACEPARENT = "traceparent"
"""Name of the gRPC metadata and HTTP header that says whose child a span is (W3C Trace Context)."""

Fact = str | bool | int | float
Facts = Mapping[str, Fact]


def trace_id_of(uid: str, attempt: int) -> str:
    """The trace of an attempt of a session, 32 hexadecimal digits: whoever knows its status finds it."""
    return sha256(f"{uid}/{attempt}".encode()).hexdigest()[:32]


class Span(Protocol):
    """Something that takes time."""

    @property
    def traceparent(self) -> str:
        """What makes another span its child, also in another process; empty when there are no spans."""
        ...

    def tell(self, facts: Facts) -> None:
        """Adds attributes."""
        ...

    def end(self, reason: str = "") -> None:
        """It is over; `reason`: why it failed."""
        ...


class Spans(Protocol):
    """Makes spans."""

    def begin(self, name: str, facts: Facts, parent: str = "", *, remote: bool = False) -> Span:
        """A span that begins now.

        Args:
            name: one of a few.
            facts: attributes.
            parent: its traceparent; what can't be read, or is empty, makes a span that has none.
            remote: it serves a call of another process.
        """
        ...

    def close(self, seconds: float) -> None:
        """Sends what was not sent yet; gives that up after `seconds`. Blocks."""
        ...


class NoSpan:
    """Nobody asked for it."""

    traceparent = ""

    def tell(self, facts: Facts) -> None:
        """Nothing."""

    def end(self, reason: str = "") -> None:
        """Nothing."""


class NoSpans:
    """Makes none."""

    def begin(self, name: str, facts: Facts, parent: str = "", *, remote: bool = False) -> Span:
        """None."""
        return NoSpan()

    def close(self, seconds: float) -> None:
        """Nothing."""


def spans_of(environment: Mapping[str, str], service: str, trace_id: str = "") -> Spans:
    """Spans as the environment asks for them; whatever is wrong with it is logged, and there are none.

    Args:
        environment: OpenTelemetry's variables.
        service: `service.name`, where OTEL_SERVICE_NAME says nothing.
        trace_id: of spans without a parent; empty: each has its own.
    """
    if not any(environment.get(name) for name in ENDPOINTS):
        return NoSpans()
    protocol = next(filter(None, map(environment.get, PROTOCOLS)), HTTP)
    if protocol != HTTP:
        log.error("no traces: OTLP is spoken as %s alone, not %s; its usual port is 4318", HTTP, protocol)
        return NoSpans()
    for name in HEADERS:
        if not all("=" in header for header in environment.get(name, "").split(",") if header.strip()):
            log.error("no traces: %s must be NAME=VALUE, several parted by commas", name)
            return NoSpans()
    try:
        from avatar_core.otlp import OtlpSpans
    except ImportError as error:
        log.error("no traces: they need %s; install avatar-operator[telemetry]", error.name)
        return NoSpans()
    return OtlpSpans(environment.get("OTEL_SERVICE_NAME") or service, trace_id)
