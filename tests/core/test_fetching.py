"""Fetching, against real HTTPS servers of this machine; only what a name resolves to is given."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from tests.support.https_server import HttpsServer, https_server

from avatar_core.addresses import Address, AddressRules
from avatar_core.errors import AvatarError, InvalidInputError, Reason, StoreError
from avatar_core.fetching import Fetching, fetch

HOST, OTHER = "files.example", "other.example"
BODY = bytes(range(256)) * 1000
LIMIT = 10**6
LOCAL = AddressRules.read({"allow": ["127.0.0.1/32"]})


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def server(authority: trustme.CA) -> AsyncIterator[HttpsServer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, OTHER).configure_cert(tls)
    async with https_server(tls) as running:
        yield running


class Names:
    """Stands for the name's servers, which tests can't have: answers in turn, the last one for ever."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = {HOST: ["127.0.0.1"], OTHER: ["127.0.0.1"]} | {
            name.replace("_", "."): list(found) for name, found in answers.items()
        }
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        answers = self.answers[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return tuple(ip_address(each) for each in found.split())


@pytest.fixture
def how(authority: trustme.CA) -> Fetching:
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    return Fetching(rules=LOCAL, seconds=20, resolve=Names(), tls=tls)


async def refusal(url: str, how: Fetching, target: Path, reason: Reason, limit: int = LIMIT) -> str:
    """The message of an expected failure, after which nothing is left."""
    with pytest.raises(AvatarError) as caught:
        await fetch(url, target, how, limit_bytes=limit, field="spec.source.url")
    assert caught.value.reason is reason, caught.value
    assert caught.value.field == "spec.source.url"
    assert not target.exists()
    return caught.value.message


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file"


async def test_a_file_is_fetched(server: HttpsServer, how: Fetching, target: Path) -> None:
    server.answers("/a?b=c", body=BODY)
    found = await fetch(server.url("/a?b=c", HOST), target, how, limit_bytes=len(BODY))
    assert target.read_bytes() == BODY
    assert (found.bytes, found.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    (request,) = server.requests
    names = {line.partition(":")[0].lower() for line in request.splitlines()[1:] if line}
    assert names == {"host", "user-agent", "accept-encoding"}


async def test_the_hash_is_held_against_the_file(server: HttpsServer, how: Fetching, target: Path) -> None:
    server.answers("/a", body=BODY)
    right = hashlib.sha256(BODY).hexdigest()
    await fetch(server.url("/a", HOST), target, how, limit_bytes=LIMIT, sha256=right)
    with pytest.raises(InvalidInputError) as caught:
        await fetch(server.url("/a", HOST), target, how, limit_bytes=LIMIT, sha256="0" * 64)
    assert caught.value.reason is Reason.SOURCE_MISMATCH
    assert right in caught.value.message
    assert not target.exists()


@pytest.mark.parametrize(
    "url",
    ["http://files.example/a", "ftp://files.example/a", "file:///etc/passwd", "https://", "https://u:p@h/"],
)
async def test_only_https_without_credentials(how: Fetching, target: Path, url: str) -> None:
    await refusal(url, how, target, Reason.SOURCE_REFUSED)
    assert isinstance(how.resolve, Names) and how.resolve.asked == []


PLACES = ["127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "[fe80::1]", "0.0.0.0"]


@pytest.mark.parametrize("place", PLACES)
async def test_no_place_inside_is_asked(server: HttpsServer, how: Fetching, target: Path, place: str) -> None:
    strict = replace(how, rules=AddressRules())
    message = await refusal(f"https://{place}:{server.port}/a", strict, target, Reason.SOURCE_REFUSED)
    assert "not at a public address" in message
    assert server.requests == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "localhost"])
async def test_other_spellings_of_loopback_are_refused(
    server: HttpsServer, how: Fetching, target: Path, host: str
) -> None:
    strict = replace(how, rules=AddressRules(), resolve=Fetching().resolve)
    await refusal(f"https://{host}:{server.port}/a", strict, target, Reason.SOURCE_REFUSED)
    assert server.requests == []


async def test_one_inner_address_among_many_is_enough(
    how: Fetching, target: Path, server: HttpsServer
) -> None:
    names = Names(files_example=["127.0.0.1 10.0.0.1"])
    message = await refusal(
        server.url("/a", HOST), replace(how, resolve=names), target, Reason.SOURCE_REFUSED
    )
    # What a name inside stands for is not told.
    assert f"{HOST} is not at a public address" in message
    assert "10.0.0.1" not in message
    assert server.requests == []


async def test_a_name_that_changes_its_mind_gains_nothing(
    server: HttpsServer, how: Fetching, target: Path
) -> None:
    server.answers("/a", body=b"file")
    names = Names(files_example=["127.0.0.1", "127.0.0.2"])
    await fetch(server.url("/a", HOST), target, replace(how, resolve=names), limit_bytes=LIMIT)
    assert names.asked == [HOST]
    await refusal(server.url("/a", HOST), replace(how, resolve=names), target, Reason.SOURCE_REFUSED)
    server.answers("/b", 302, Location="/a", Connection="close")
    names = Names(files_example=["127.0.0.1", "127.0.0.2"])
    await refusal(server.url("/b", HOST), replace(how, resolve=names), target, Reason.SOURCE_REFUSED)
    assert names.asked == [HOST, HOST]


async def test_the_next_address_is_tried(server: HttpsServer, how: Fetching, target: Path) -> None:
    server.answers("/a", body=b"file")
    rules = AddressRules.read({"allow": ["127.0.0.0/24"]})
    names = Names(files_example=["127.0.0.9 127.0.0.1"])
    await fetch(server.url("/a", HOST), target, replace(how, resolve=names, rules=rules), limit_bytes=LIMIT)
    assert target.read_bytes() == b"file"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(server: HttpsServer, how: Fetching, target: Path, status: int) -> None:
    server.answers("/old", status, Location=server.url("/new", OTHER), Set_Cookie="a=b")
    server.answers("/new", body=b"file")
    await fetch(server.url("/old", HOST), target, how, limit_bytes=LIMIT)
    assert target.read_bytes() == b"file"
    assert "cookie" not in server.requests[-1].lower()
    assert isinstance(how.resolve, Names) and how.resolve.asked == [HOST, OTHER]


@pytest.mark.parametrize(
    "location",
    [
        "http://files.example/a",
        "file:///etc/passwd",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://user:password@files.example/",
        "//127.0.0.2/a",
        "https://[",
        "/\x01",
    ],
)
async def test_a_redirect_leads_nowhere_else(
    server: HttpsServer, how: Fetching, target: Path, location: str
) -> None:
    server.answers("/old", 302, Location=location)
    await refusal(server.url("/old", HOST), how, target, Reason.SOURCE_REFUSED)


async def test_redirects_end(server: HttpsServer, how: Fetching, target: Path) -> None:
    server.answers("/loop", 302, Location="/loop")
    await refusal(server.url("/loop", HOST), how, target, Reason.SOURCE_REFUSED)
    assert len(server.requests) == 6


async def test_announced_lengths_are_not_believed(server: HttpsServer, how: Fetching, target: Path) -> None:
    async def endless(_: str, out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            out.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await out.drain()
            await asyncio.sleep(0)  # a drained connection that is lost does not tell, and would spin for ever

    server.handlers["/endless"] = endless
    message = await refusal(server.url("/endless", HOST), how, target, Reason.SOURCE_TOO_LARGE)
    assert str(LIMIT) in message


@pytest.mark.parametrize(("status", "reason"), [(404, "NOT_FOUND"), (403, "NOT_FOUND"), (304, "NOT_FOUND")])
async def test_what_is_not_there(
    server: HttpsServer, how: Fetching, target: Path, status: int, reason: str
) -> None:
    server.answers("/a?token=hidden", status)
    message = await refusal(server.url("/a?token=hidden", HOST), how, target, Reason[f"SOURCE_{reason}"])
    assert str(status) in message and "hidden" not in message


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_what_may_be_there_later(server: HttpsServer, how: Fetching, target: Path, status: int) -> None:
    server.answers("/a", status)
    await refusal(server.url("/a", HOST), how, target, Reason.SOURCE_UNREACHABLE)


async def test_a_slow_body_ends_in_time(server: HttpsServer, how: Fetching, target: Path) -> None:
    async def trickle(_: str, out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            out.write(b"x")
            await out.drain()
            await asyncio.sleep(0.05)

    server.handlers["/slow"] = trickle
    message = await refusal(
        server.url("/slow", HOST), replace(how, seconds=0.5), target, Reason.SOURCE_UNREACHABLE
    )
    assert "0.5 s" in message


async def test_a_cut_body_is_no_file(server: HttpsServer, how: Fetching, target: Path) -> None:
    async def cut(_: str, out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

    server.handlers["/cut"] = cut
    await refusal(server.url("/cut", HOST), how, target, Reason.SOURCE_UNREACHABLE)


async def test_certificates_are_checked(server: HttpsServer, how: Fetching, target: Path) -> None:
    stranger = replace(how, tls=None)
    await refusal(server.url("/a", HOST), stranger, target, Reason.SOURCE_UNREACHABLE)
    names = Names(third_example=["127.0.0.1"])
    url = server.url("/a", "third.example")
    await refusal(url, replace(how, resolve=names), target, Reason.SOURCE_UNREACHABLE)
    assert server.requests == []


async def test_proxies_of_the_environment_are_not_used(
    server: HttpsServer, how: Fetching, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answers("/a", body=b"file")
    await fetch(server.url("/a", HOST), target, how, limit_bytes=LIMIT)


async def test_nobody_listens(how: Fetching, target: Path) -> None:
    await refusal(f"https://{HOST}:1/a", how, target, Reason.SOURCE_UNREACHABLE)


async def test_a_name_that_is_unknown(how: Fetching, target: Path) -> None:
    async def unknown(host: str, port: int) -> Sequence[Address]:
        raise OSError("Name or service not known")

    await refusal(f"https://{HOST}/", replace(how, resolve=unknown), target, Reason.SOURCE_UNREACHABLE)


async def test_a_disk_that_takes_nothing(server: HttpsServer, how: Fetching, tmp_path: Path) -> None:
    server.answers("/a", body=BODY)
    with pytest.raises(StoreError):
        await fetch(server.url("/a", HOST), tmp_path / "absent/file", how, limit_bytes=LIMIT)
