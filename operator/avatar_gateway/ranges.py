"""Which part of an object a request is answered with, or that it has it already (RFC 9110). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.ASCII | re.IGNORECASE)
_ETAG = re.compile(r'(?:W/)?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Version:
    """What an object is at the moment.

    Attributes:
        size: bytes.
        etag: strong, with its quotation marks.
        modified: with a time zone; HTTP knows whole seconds.
    """

    size: int
    etag: str
    modified: datetime

    @property
    def headers(self) -> dict[str, str]:
        """What tells it apart from others."""
        modified = format_datetime(self.modified.astimezone(UTC), usegmt=True)
        return {"ETag": self.etag, "Last-Modified": modified, "Accept-Ranges": "bytes"}


@dataclass(frozen=True, slots=True)
class Part:
    """How a request is answered.

    Attributes:
        status: 200, 206, 304, 412 or 416; 200 and 206 have a body.
        start, end: of the body, in bytes of the object.
        headers: about the part.
    """

    status: int
    start: int
    end: int
    headers: Mapping[str, str]


def part_of(method: str, headers: Mapping[str, str], version: Version) -> Part:
    """What a GET or HEAD with these headers gets.

    Several ranges, and ranges that can't be read, are passed over, as a server may: all of it is sent.
    """
    refused = _precondition(headers, version)
    if refused:
        return Part(refused, 0, 0, {})
    whole = Part(200, 0, version.size, {"Content-Length": str(version.size)})
    found = _RANGE.fullmatch(headers.get("Range", ""))
    if method != "GET" or found is None or not _is_same(headers.get("If-Range"), version):
        return whole
    first, last = found.groups()
    if (not first and not last) or (first and last and int(last) < int(first)):
        return whole
    start = int(first) if first else max(0, version.size - int(last))
    end = min(version.size, int(last) + 1) if first and last else version.size
    if start >= end:
        return Part(416, 0, 0, {"Content-Range": f"bytes */{version.size}"})
    span = f"bytes {start}-{end - 1}/{version.size}"
    return Part(206, start, end, {"Content-Range": span, "Content-Length": str(end - start)})


def _precondition(headers: Mapping[str, str], version: Version) -> int | None:
    """The status of a request whose conditions are not met, in the order of RFC 9110, 13.2.2."""
    if (match := headers.get("If-Match")) is not None:
        if not _names(match, version, weak=False):
            return 412
    elif (since := _date(headers.get("If-Unmodified-Since"))) and _seconds(version) > since:
        return 412
    if (match := headers.get("If-None-Match")) is not None:
        return 304 if _names(match, version, weak=True) else None
    since = _date(headers.get("If-Modified-Since"))
    return 304 if since and _seconds(version) <= since else None


def _names(header: str, version: Version, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    found = (tag.group(0) for tag in _ETAG.finditer(header))
    return version.etag in (tag.removeprefix("W/") if weak else tag for tag in found)


def _is_same(header: str | None, version: Version) -> bool:
    """Whether If-Range lets a range through: by a strong ETag. Times are too coarse to prove sameness."""
    return header is None or header.strip() == version.etag


def _seconds(version: Version) -> datetime:
    return version.modified.astimezone(UTC).replace(microsecond=0)


def _date(header: str | None) -> datetime | None:
    """Of a header; None where it is none, which is then passed over."""
    try:
        found = parsedate_to_datetime(header or "")
    except (ValueError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
