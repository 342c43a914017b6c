"""A stand-in for the gateway's half for bundles: a real HTTP server in a thread, objects in memory."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "the-keeper's-token"


@dataclass
class BundleGateway:
    """What it holds and was asked; tests change both.

    Attributes:
        url: its base.
        objects: bodies by "<hex>/<name>".
        asked: "METHOD <name>", in order.
        failures: statuses of the next answers, one a request.
        cut: bodies of GET break off after so many bytes, once.
    """

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    cut: int | None = None


@contextmanager
def bundle_gateway() -> Iterator[BundleGateway]:
    """Serves on a loopback port until the block ends."""
    made = BundleGateway()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"gateway": made}))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    gateway: BundleGateway
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self._answer(self._refusal() or self._found())

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self._refusal() or self._taken(body))

    @property
    def _key(self) -> str:
        return self.path.removeprefix("/v1/bundles/")

    def _refusal(self) -> tuple[int, bytes] | None:
        self.gateway.asked.append(f"{self.command} {self.path.rpartition('/')[2]}")
        if self.gateway.failures:
            return self.gateway.failures.pop(0), b'{"reason": "StoreUnavailable", "error": "as told"}'
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, b'{"reason": "Unauthenticated", "error": "who are you?"}'
        return None

    def _found(self) -> tuple[int, bytes]:
        body = self.gateway.objects.get(self._key)
        return (404, b"{}") if body is None else (200, body)

    def _taken(self, body: bytes) -> tuple[int, bytes]:
        digest = hashlib.sha256(body)
        if self.headers["Content-Digest"] != f"sha-256=:{base64.b64encode(digest.digest()).decode()}:":
            return 422, b"{}"
        folder, _, name = self._key.partition("/")
        if name == "manifest.json" and folder != digest.hexdigest():
            return 422, b"{}"
        self.gateway.objects[self._key] = body
        return 201, b"{}"

    def _answer(self, answer: tuple[int, bytes]) -> None:
        status, body = answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.command == "GET" and self.gateway.cut is not None and len(body) > self.gateway.cut:
            body, self.gateway.cut = body[: self.gateway.cut], None
            self.close_connection = True
        self.wfile.write(body)
