"""Refuses a user's writes with an error of the test's choice: an admission webhook that the API server asks.

The refusal is the API server's own: it comes after authorization, is in the audit log, and nothing was
written. Reads are never asked about.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cluster.patience import eventually
from tests.cluster.rest import Json, Rest, RestError

_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_REASONS = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError", 504: "Timeout"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to a write.

    Attributes:
        code: HTTP status, 409, 429, 500 or 504.
        one_in: 1 refuses every write, 2 every other, and so on.
        retry_after: seconds, for the header of that name; 0 for none.
    """

    code: int
    one_in: int = 1
    retry_after: int = 0

    def status(self) -> Json:
        """As a webhook answers."""
        details = {"details": {"retryAfterSeconds": self.retry_after}} if self.retry_after else {}
        return {
            "code": self.code,
            "reason": _REASONS[self.code],
            "message": "the test wants it so",
            **details,
        }


class RefusingWebhook:
    """A server on a loopback port that lets some writes of one user pass and refuses the others.

    Args:
        certificate, key: files of a server's identity for 127.0.0.1.
    """

    def __init__(self, refusal: Refusal, probe: str, certificate: Path, key: Path) -> None:
        self.probe = probe
        self._refusal, self._asked, self._lock = refusal, 0, threading.Lock()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = tls.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Json) -> Json:
        """Of an AdmissionReview: allowed or not. The probe is always refused and not counted."""
        with self._lock:
            refused = request["userInfo"]["username"] == self.probe
            if not refused:
                self._asked += 1
                refused = self._asked % self._refusal.one_in == 0
        verdict = {"allowed": False, "status": self._refusal.status()} if refused else {"allowed": True}
        return {"uid": request["uid"], **verdict}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps({**review, "response": answer(review["request"])}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        return Handler


def configuration(name: str, users: list[str], url: str, ca: bytes) -> Json:
    """Makes the API server ask `url` about every write of these users."""
    whose = f"request.userInfo.username in {json.dumps(users)}"
    webhook: dict[str, Any] = {
        "name": "refusals.tests.avatars.dev",
        "clientConfig": {"url": url, "caBundle": base64.b64encode(ca).decode()},
        "rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}],
        "matchConditions": [{"name": "of-the-user", "expression": whose}],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }


def put_in_force(rest: Rest, probe: Rest, wanted: Json) -> None:
    """Returns once the API server asks; `probe` are requests of a user whom the webhook always refuses."""
    rest.post(_CONFIGURATIONS, wanted)
    eventually(lambda: _is_refused(probe))


def lift(rest: Rest, probe: Rest, name: str) -> None:
    """Returns once the API server asks no more."""
    rest.delete(f"{_CONFIGURATIONS}/{name}")
    eventually(lambda: not _is_refused(probe))


def _is_refused(probe: Rest) -> bool:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"probe-{secrets.token_hex(4)}"}}
    try:
        probe.post("/api/v1/namespaces", body, dryRun="All")
    except RestError:
        return True
    return False
