"""A stand-in for the half of a kubelet that hands out logs: HTTPS on loopback, lines that a test writes."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class StandInKubelet:
    """Logs by pod.

    Attributes:
        logs: what each pod has written.
        over: pods that write no more, so that who follows them comes to an end.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.logs: dict[str, list[str]] = {}
        self.over: set[str] = set()
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"kubelet": self}))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.port = self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    kubelet: StandInKubelet
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """/containerLogs/NAMESPACE/POD/CONTAINER"""
        parts = urlsplit(self.path)
        _, kind, _, pod, container = parts.path.split("/")
        assert (kind, container) == ("containerLogs", "session")
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent, follows = 0, "follow" in parse_qs(parts.query)
        while True:
            over = not follows or pod in self.kubelet.over
            lines = self.kubelet.logs.get(pod, [])[sent:]
            sent += len(lines)
            for line in lines:
                data = f"{line}\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            if over or self.kubelet.closing.wait(0.05):
                self.wfile.write(b"0\r\n\r\n")
                return

    def log_message(self, *_: Any) -> None:
        pass
