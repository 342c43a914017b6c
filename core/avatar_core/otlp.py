"""Spans by OpenTelemetry's SDK, sent by its own OTLP exporter, which reads the standard environment."""

from __future__ import annotations

import logging
import threading
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from avatar_core.tracing import TRACEPARENT, Facts, Span

# It tells headers that it can't read, and they are secrets; `avatar_core.tracing` tells of them without.
logging.getLogger("opentelemetry.util.re").disabled = True
_PROPAGATOR = TraceContextTextMapPropagator()


class OtlpSpans:
    """Makes spans and sends them, in batches, from a thread of its own.

    Args:
        service: `service.name`.
        trace_id: of spans without a parent, 32 hexadecimal digits; empty: each has its own.
    """

    def __init__(self, service: str, trace_id: str = "") -> None:
        about = {"service.name": service, "service.version": version("avatar-operator")}
        ids = _OneTrace(trace_id) if trace_id else RandomIdGenerator()
        self._provider = TracerProvider(
            resource=Resource.create(about), id_generator=ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("avatar")

    def begin(self, name: str, facts: Facts, parent: str = "", *, remote: bool = False) -> Span:
        """A span that begins now; see `avatar_core.tracing.Spans`."""
        above = _PROPAGATOR.extract({TRACEPARENT: parent}, Context())
        kind = SpanKind.SERVER if remote else SpanKind.INTERNAL
        return _OtlpSpan(self._tracer.start_span(name, above, kind, dict(facts)))

    def close(self, seconds: float) -> None:
        """Sends what was not sent yet; gives that up after `seconds`. Blocks."""
        # The SDK waits for an endpoint as long as the exporter tries, whatever time it is told.
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(seconds)


class _OtlpSpan:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(self._span, Context()))
        return carrier.get(TRACEPARENT, "")

    def tell(self, facts: Facts) -> None:
        self._span.set_attributes(dict(facts))

    def end(self, reason: str = "") -> None:
        if reason:
            self._span.set_attribute("error.type", reason)
            self._span.set_status(Status(StatusCode.ERROR, reason))
        self._span.end()


class _OneTrace(RandomIdGenerator):
    """Spans without a parent are all of one trace."""

    def __init__(self, trace_id: str) -> None:
        self._trace_id = int(trace_id, 16)

    def generate_trace_id(self) -> int:
        return self._trace_id
