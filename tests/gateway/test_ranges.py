"""Parts and conditions, held against a slow and plain reading of RFC 9110."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_gateway.ranges import Version, part_of

MODIFIED = datetime(2026, 12, 1, 3, 0, 5, 600_000, tzinfo=UTC)
sizes = st.integers(0, 30)
numbers = st.one_of(st.just(""), st.integers(0, 40).map(str))


def version(size: int = 10) -> Version:
    return Version(size, '"v1"', MODIFIED)


def date(seconds: int) -> str:
    return format_datetime(MODIFIED.replace(microsecond=0) + timedelta(seconds=seconds), usegmt=True)


def reference(first: str, last: str, size: int) -> list[int] | None:
    """Positions that are asked for and there; None for a header that says nothing."""
    there = range(size)
    if first and last:
        return None if int(last) < int(first) else [i for i in there if int(first) <= i <= int(last)]
    if first:
        return [i for i in there if i >= int(first)]
    if last:
        return [i for i in there if i >= size - int(last)]
    return None


@given(sizes, numbers, numbers)
def test_parts_are_those_of_the_reference(size: int, first: str, last: str) -> None:
    part = part_of("GET", {"Range": f"bytes={first}-{last}"}, version(size))
    wanted = reference(first, last, size)
    if wanted is None:
        assert (part.status, part.start, part.end) == (200, 0, size)
    elif not wanted:
        assert part.status == 416
        assert part.headers == {"Content-Range": f"bytes */{size}"}
    else:
        assert (part.status, list(range(part.start, part.end))) == (206, wanted)
        assert part.headers["Content-Range"] == f"bytes {wanted[0]}-{wanted[-1]}/{size}"
        assert part.headers["Content-Length"] == str(len(wanted))


@given(st.text(max_size=30))
def test_anything_else_is_passed_over(text: str) -> None:
    part = part_of("GET", {"Range": text}, version())
    assert part.status in {200, 206, 416}
    assert part.status == 200 or text.lower().startswith("bytes=")
    assert 0 <= part.start <= part.end <= 10


@pytest.mark.parametrize(
    "header",
    [
        *("bytes=0-1,3-4", "bytes=", "bytes=-", "lines=0-1", "bytes=a-b", "bytes 0-1", "bytes=1-0"),
        *("bytes=-1-", "bytes=٣-٤", f"bytes=0-{'9' * 19}"),
    ],
)
def test_ranges_that_are_passed_over(header: str) -> None:
    assert part_of("GET", {"Range": header}, version()).status == 200


def test_only_get_has_parts() -> None:
    assert part_of("HEAD", {"Range": "bytes=0-1"}, version()).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Range": '"v1"'}, 206),
        ({"If-Range": '"v2"'}, 200),
        ({"If-Range": 'W/"v1"'}, 200),
        ({"If-Range": date(0)}, 200),
        ({"If-None-Match": '"v1"'}, 304),
        ({"If-None-Match": 'W/"v1"'}, 304),
        ({"If-None-Match": '"v0", "v1"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"v2"'}, 206),
        ({"If-None-Match": '"v2"', "If-Modified-Since": date(60)}, 206),
        ({"If-Modified-Since": date(0)}, 304),
        ({"If-Modified-Since": date(-1)}, 206),
        ({"If-Modified-Since": "yesterday"}, 206),
        ({"If-Match": '"v1"'}, 206),
        ({"If-Match": 'W/"v1"'}, 412),
        ({"If-Match": '"v2"'}, 412),
        ({"If-Match": "*"}, 206),
        ({"If-Match": '"v1"', "If-Unmodified-Since": date(-60)}, 206),
        ({"If-Unmodified-Since": date(0)}, 206),
        ({"If-Unmodified-Since": date(-1)}, 412),
    ],
)
def test_conditions(headers: dict[str, str], status: int) -> None:
    assert part_of("GET", {"Range": "bytes=0-1", **headers}, version()).status == status
