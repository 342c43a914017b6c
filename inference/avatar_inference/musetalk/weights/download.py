"""One published file over HTTP: resumed where it was cut off, never longer than it is, checked by hash."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from avatar_inference.musetalk.weights.catalogue import Origin
from avatar_inference.musetalk.weights.files import invalid
from avatar_inference.musetalk.weights.hub import Hub, asked_wait, client, unavailable
from avatar_inference.musetalk.weights.partial import MAX_TAG, Partial

TRIES = 6
"""Tries in a row that bring less than `PROGRESS` bytes, after which it is given up."""
PROGRESS = 1024 * 1024
MAX_WAIT = 120.0
"""Seconds; a server that wants to be left alone for longer is not waited for."""
SLOWEST, PATIENCE = 1000, 60.0
"""Bytes a second below which an answer is given up after so many seconds."""
_PLACE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)")
_AGAIN = (408, 425, 429, 500, 502, 503, 504)

Told = Callable[[int, str], None]
"""Called with the bytes that are there, and why nothing comes at the moment (or "")."""


class _AgainError(Exception):
    """Worth another try; `wait` is how many seconds the server asks for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def download(origin: Origin, path: Path, hub: Hub, told: Told) -> None:
    """Fetches a file; what came before a failure stays beside `path` and is resumed by the next call.

    Args:
        origin: the file, its size and hash.
        path: where it appears once it is whole and checked; its folder must exist.
        hub: where from.
        told: how far it is.

    Raises:
        WeightsError: WeightsUnavailable; WeightsInvalid when something else is served; DiskFull;
            InvalidArgument for an endpoint that is no address.
    """
    partial = Partial(path, origin)
    if partial.size > origin.bytes:
        partial.remove()
    with client() as http:
        resumed = partial.size > 0
        _receive(http, partial, hub, told)
        if resumed and partial.digest() != origin.sha256:
            told(0, "what was kept of it is damaged; fetching it anew")
            partial.clear()
            _receive(http, partial, hub, told)
    found = partial.digest()
    if found != origin.sha256:
        partial.remove()
        raise invalid(
            f"{origin.file} from {hub.address(origin)} is not the published file and was removed: "
            f"expected SHA-256 {origin.sha256}, found {found}"
        )
    partial.publish()


def _receive(http: httpx2.Client, partial: Partial, hub: Hub, told: Told) -> None:
    """Tries until all bytes are there."""
    # Only more than ever before counts: what is thrown away and comes again could go on for ever.
    failures, most = 0, partial.size
    while partial.size < partial.origin.bytes:
        try:
            with hub.answer(http, partial.origin, _headers(partial)) as response:
                _store(response, partial, told)
        except (_AgainError, httpx2.TransportError) as error:
            failures = 1 if partial.size - most >= PROGRESS else failures + 1
            most = max(most, partial.size)
            _wait(error, failures, hub, lambda note: told(partial.size, note))


def _wait(error: Exception, failures: int, hub: Hub, note: Callable[[str], None]) -> None:
    """Waits before the next try, longer each time. Raises WeightsError (WeightsUnavailable) at the last."""
    what = str(error) or type(error).__name__
    asked = error.wait if isinstance(error, _AgainError) else None
    if failures == TRIES or (asked or 0) > MAX_WAIT:
        kept = "what has come is kept; the same command goes on from there"
        raise unavailable(f"{hub.endpoint}: {what} ({failures} tries); {kept}", asked) from None
    wait = asked if asked is not None else min(30.0, 2.0**failures) * random.uniform(0.5, 1)  # noqa: S311
    note(f"{what}; trying again in {wait:.0f} s")
    hub.sleep(wait)


def _headers(partial: Partial) -> dict[str, str]:
    """Asks for what is still missing, of the same version."""
    headers = {"Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
        if partial.tag and not partial.tag.startswith("W/"):
            headers["If-Range"] = partial.tag
    return headers


def _store(response: httpx2.Response, partial: Partial, told: Told) -> None:
    """Adds an answer's body to what is there, or says why not."""
    _check_status(response)
    if response.status_code == 200:
        partial.clear(response.headers.get("etag", ""))
    else:
        _check_resumed(response, partial)
    _check_length(response, partial)
    size, wanted, began = partial.size, partial.origin.bytes, time.monotonic()
    first = size
    with partial.appending() as add:
        for block in response.iter_raw():
            if size + len(block) > wanted:
                partial.remove()
                raise invalid(f"{_host(response)} sends more than {wanted} bytes of {partial.origin.file}")
            add(block)
            size += len(block)
            told(size, "")
            spent = time.monotonic() - began
            if spent > PATIENCE and size - first < SLOWEST * spent:
                raise _AgainError(f"{_host(response)} sends less than {SLOWEST} bytes a second")
    if size < wanted:
        raise _AgainError(f"{_host(response)} ended after {size} of {wanted} bytes")


def _check_status(response: httpx2.Response) -> None:
    status = response.status_code
    if status in (200, 206, 416):
        return
    told = f"{_host(response)} answers {status} {response.reason_phrase}".rstrip()
    if status in _AGAIN:
        raise _AgainError(told, asked_wait(response))
    if status in (401, 403):
        told += "; if the files are behind a login, set HF_TOKEN"
    if status == 404:
        told += "; a mirror must serve /<repository>/resolve/<revision>/<file>"
    raise unavailable(told)


def _check_resumed(response: httpx2.Response, partial: Partial) -> None:
    """A part must begin where ours ends and be of the same version; else all is fetched anew."""
    place = _PLACE.fullmatch(response.headers.get("content-range", ""))
    fits = place and int(place[1]) == partial.size and place[2] in ("*", str(partial.origin.bytes))
    tag = response.headers.get("etag", "")[:MAX_TAG]
    if response.status_code != 206 or not fits or (partial.tag and tag != partial.tag):
        partial.clear()
        raise _AgainError("the file changed on the server, or it can't go on where we stopped")


def _check_length(response: httpx2.Response, partial: Partial) -> None:
    length, missing = response.headers.get("content-length", ""), partial.origin.bytes - partial.size
    if length.isascii() and length.isdigit() and int(length[:18]) != missing:
        partial.remove()
        raise invalid(
            f"{_host(response)} has {partial.origin.bytes - missing + int(length[:18])} bytes for "
            f"{partial.origin.file}; the published file has {partial.origin.bytes}"
        )


def _host(response: httpx2.Response) -> str:
    """Without path and query, which may hold a signature."""
    return response.url.host
