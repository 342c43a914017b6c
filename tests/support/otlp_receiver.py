"""A stand-in for a collector: takes OTLP over HTTP, as OpenTelemetry's own messages read it."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Received:
    """A span as it came; ids are hexadecimal, no parent is empty."""

    name: str
    service: str
    trace: str
    span: str
    parent: str
    kind: int
    begin: int
    end: int
    failed: bool
    facts: dict[str, object]


@dataclass
class Receiver:
    """What came so far."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    spans: list[Received] = field(default_factory=list)

    def until(self, enough: Callable[[list[Received]], bool], seconds: float = 20) -> list[Received]:
        """The spans, once there are enough."""
        end = time.monotonic() + seconds
        while not enough(self.spans):
            assert time.monotonic() < end, [span.name for span in self.spans]
            time.sleep(0.02)
        return list(self.spans)

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """One request; raises when it is none."""
        message = ExportTraceServiceRequest.FromString(body)
        self.headers.append(headers)
        self.bodies.append(body)
        for resource in message.resource_spans:
            service = {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"]
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                values = {a.key: getattr(a.value, str(a.value.WhichOneof("value"))) for a in span.attributes}
                ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                times = span.start_time_unix_nano, span.end_time_unix_nano
                failed = span.status.code == span.status.STATUS_CODE_ERROR
                self.spans.append(Received(span.name, service, *ids, span.kind, *times, failed, values))


@contextmanager
def otlp_receiver() -> Iterator[Receiver]:
    """Serves loopback until the block ends."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            right = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
            if right:
                plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                made.take(plain, dict(self.headers))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200 if right else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
