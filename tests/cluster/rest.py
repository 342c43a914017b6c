"""The API as it is: paths and JSON, without models."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlencode

import urllib3

Json = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
_TIMEOUT = urllib3.Timeout(connect=5, read=60)
_CHANGING_SECONDS = 20


class RestError(Exception):
    """The API server refused; it can't be reached if `code` is 0. `retry_after` is in seconds."""

    def __init__(self, code: int, reason: str, message: str, retry_after: int = 0) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.retry_after = code, reason, retry_after


class Rest:
    """Requests of one user. Any number of threads may share it.

    Every method takes a path such as "/api/v1/pods" and query parameters, returns the parsed answer and
    raises RestError.
    """

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(ssl_context=tls, maxsize=16, retries=False, timeout=_TIMEOUT)

    def get(self, path: str, **query: str) -> Json:
        """Reads an object or a list."""
        return self._json("GET", path, query)

    def post(self, path: str, body: Json, **query: str) -> Json:
        """Creates an object."""
        return self._json("POST", path, query, body)

    def put(self, path: str, body: Json, **query: str) -> Json:
        """Replaces an object."""
        return self._json("PUT", path, query, body)

    def patch(self, path: str, body: Any, kind: str = MERGE_PATCH, **query: str) -> Json:
        """Changes an object."""
        return self._json("PATCH", path, query, body, kind)

    def delete(self, path: str, body: Json | None = None, **query: str) -> Json:
        """Deletes an object; `body` may be DeleteOptions."""
        return self._json("DELETE", path, query, body)

    def text(self, path: str) -> str:
        """Reads what is no JSON, such as /readyz."""
        with self._answer("GET", path, {}) as response:
            return response.data.decode()

    @contextmanager
    def watch(self, path: str, **query: str) -> Iterator[tuple[Iterator[Json], Callable[[], None]]]:
        """Events {"type", "object"} as they come, and a function that ends them from another thread."""
        with self._answer("GET", path, {"watch": "1", **query}) as response:
            yield _events(response), lambda: _shut_down(response)

    def close(self) -> None:
        """Closes idle connections."""
        self._pool.clear()

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        kind: str = "application/json",
    ) -> Json:
        end = time.monotonic() + _CHANGING_SECONDS
        while True:
            try:
                with self._answer(method, path, query, body, kind) as response:
                    answer: Json = json.loads(response.data)
                    return answer
            except RestError as error:
                # A definition has just been changed; kubectl tries again, too.
                if "storage is (re)initializing" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.1)

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        kind: str = "application/json",
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        response = None
        try:
            response = self._pool.request(
                method,
                f"{self._url}{path}?{urlencode(query)}",
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": kind},
                preload_content=False,
            )
            if response.status >= 400:
                raise _refusal(response)
            yield response
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RestError(0, type(error).__name__, str(error)) from error
        finally:
            if response is not None:
                response.drain_conn() if "watch" not in query else response.close()


def _shut_down(response: urllib3.BaseHTTPResponse) -> None:
    """Ends what another thread reads; beneath TLS, as an SSLSocket that is shut down hands out ciphertext."""
    connection = response.connection
    if isinstance(connection, urllib3.connection.HTTPConnection) and connection.sock:
        with suppress(OSError):
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


def _events(response: urllib3.BaseHTTPResponse) -> Iterator[Json]:
    unread = b""
    for chunk in response.stream(amt=None):
        *lines, unread = (unread + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines if line)


def _refusal(response: urllib3.BaseHTTPResponse) -> RestError:
    code, data, wait = response.status, response.data, int(response.headers.get("Retry-After", 0))
    try:
        status = json.loads(data)
        return RestError(code, status["reason"], status["message"], wait)
    except (ValueError, KeyError, TypeError):
        return RestError(code, "", data.decode(errors="replace"), wait)
