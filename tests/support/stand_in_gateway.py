"""A stand-in for the gateway's half for viewers: one video below one link, with Range, and ways to break."""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PAGE = b"<!doctype html><title>watch</title><video src='video.mp4'></video>"
PATH = f"/v/1.1999999999.{'A' * 43}/team/11111111-2222-3333-4444-555555555555/"


class StandInGateway:
    """Serves loopback.

    Attributes:
        video: what it serves.
        cut_after: bytes of each answer after which the connection is closed; None: never.
        hung_after: bytes of each answer after which nothing comes any more; None: never.
        ignores_ranges: answers 200 with all of it.
        refuses: a status that every request gets; 0: none.
        asked: (method, name, headers) of every request.
    """

    def __init__(self) -> None:
        self.video = bytes(range(256)) * 4096
        self.cut_after: int | None = None
        self.hung_after: int | None = None
        self.ended = threading.Event()
        self.ignores_ranges = False
        self.refuses = 0
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        handler = type("Handler", (_Handler,), {"gateway": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def link(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{PATH}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.video).hexdigest()

    @property
    def ranges(self) -> list[str]:
        """The Range of each request, empty where there was none."""
        return [headers.get("range", "") for _, _, headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    gateway: StandInGateway
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        gateway = self.gateway
        headers = {key.lower(): value for key, value in self.headers.items()}
        name = self.path.removeprefix(PATH)
        gateway.asked.append((self.command, name, headers))
        if gateway.refuses:
            self._answer(gateway.refuses, b'{"reason": "StoreDenied", "error": "the link has expired"}')
        elif name == "":
            self._answer(200, PAGE, {"Content-Type": "text/html"})
        elif name == "video.mp4":
            self._video(headers.get("range", ""))
        else:
            self._answer(404, b'{"reason": "StoreDenied", "error": "no such object"}')

    do_HEAD = do_GET

    def _video(self, asked: str) -> None:
        video, kind = self.gateway.video, {"Content-Type": "video/mp4", "Accept-Ranges": "bytes"}
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        if found is None or self.gateway.ignores_ranges:
            self._answer(200, video, kind)
            return
        first, last = int(found[1]), int(found[2] or len(video) - 1)
        whole = {"Content-Range": f"bytes {first}-{last}/{len(video)}", **kind}
        self._answer(206, video[first : last + 1], whole)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.gateway.hung_after is not None:
            self.wfile.write(body[: self.gateway.hung_after])
            self.gateway.ended.wait(60)
            self.close_connection = True
            return
        cut = self.gateway.cut_after
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None and cut < len(body):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass
