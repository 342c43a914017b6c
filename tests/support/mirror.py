"""A real HTTP server on loopback with the paths of the Hugging Face hub, which misbehaves on demand."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its path, its Range and its Authorization ("" if none)."""

    path: str
    range: str
    authorization: str


Fault = Callable[["_Handler", bytes], None]
"""Answers a request in place of the mirror; gets the file that was asked for."""


@dataclass
class Mirror:
    """What is served, what was asked, and what goes wrong with the next requests, in order."""

    files: dict[str, bytes]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    faults: deque[Fault | None] = field(default_factory=deque)
    sent: int = 0
    tag: str = '"v1"'

    @property
    def ranges(self) -> list[str]:
        """The Range of every request so far."""
        return [asked.range for asked in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mirror: Mirror

    def do_GET(self) -> None:
        headers = self.headers
        self.mirror.asked.append(Asked(self.path, headers.get("Range", ""), headers.get("Authorization", "")))
        data = self.mirror.files.get(self.path)
        fault = self.mirror.faults.popleft() if self.mirror.faults else None
        if fault is not None:
            fault(self, data or b"")
        elif data is None:
            self.answer(404, b"")
        else:
            self.serve(data)

    def serve(self, data: bytes, cut: int | None = None) -> None:
        """Serves a file or the rest of it, as a good server does; cut off after so many bytes."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", self.mirror.tag) == self.mirror.tag
        start = int(asked[1]) if asked and same else 0
        extra = {"ETag": self.mirror.tag}
        if start:
            extra["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.answer(206 if start else 200, data[start:], extra, cut)

    def answer(
        self, status: int, body: bytes, extra: dict[str, str] | None = None, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.push(body[:cut])
        if cut is not None:
            self.hang_up()

    def push(self, body: bytes) -> None:
        self.wfile.write(body)
        self.mirror.sent += len(body)

    def hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Mirror]:
    """A mirror that runs until the block ends."""
    mirror = Mirror(files)
    handler = type("Handler", (_Handler,), {"mirror": mirror})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    mirror.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def cut(after: int) -> Fault:
    """Hangs up after so many bytes of the body."""
    return lambda handler, data: handler.serve(data, cut=after)


def status(code: int, **headers: str) -> Fault:
    """Answers with a status alone; retry_after="3" becomes the header Retry-After."""
    extra = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return lambda handler, _: handler.answer(code, b"", extra)


def whole(handler: _Handler, data: bytes) -> None:
    """Ignores the Range and sends everything."""
    handler.answer(200, data)


def of_another_version(handler: _Handler, data: bytes) -> None:
    """Goes on where asked to, though the file is another one meanwhile."""
    start = int(re.findall(r"\d+", handler.headers["Range"])[0])
    place = f"bytes {start}-{len(data) - 1}/{len(data)}"
    handler.answer(206, b"\xff" * (len(data) - start), {"ETag": '"v2"', "Content-Range": place})


def endless(handler: _Handler, _: bytes) -> None:
    """Sends without end and without saying how much."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    try:
        while handler.mirror.sent < 1 << 30:
            handler.push(bytes(1 << 16))
    except OSError:
        return


def slowly(handler: _Handler, data: bytes) -> None:
    """Sends the first half at once and then next to nothing, for ten seconds."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.send_header("ETag", handler.mirror.tag)
    handler.end_headers()
    half = len(data) // 2
    try:
        handler.push(data[:half])
        for byte in data[half : half + 100]:
            time.sleep(0.1)
            handler.push(bytes([byte]))
    except OSError:
        return
