"""Fetches a file from an address that somebody else wrote, and from nowhere he should not reach.

https only. A host is resolved once for each connection, every address it has is checked, and the connection
goes to a checked address itself: no second answer of the name's server is ever used. Redirects are checked
like the first address. No proxy of the environment and no credentials are used.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpcore2

from avatar_core.addresses import Address, AddressRules
from avatar_core.checked_network import CheckedNetwork, Resolve, resolve_host
from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_core.store_errors import typed_store_error

REDIRECTS_MAX = 5
URL_CHARACTERS_MAX = 2048
CONNECT_SECONDS, SILENCE_SECONDS = 10.0, 20.0
AGENT = "avatar-operator"
_MOVED = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Fetching:
    """How files are fetched.

    Attributes:
        rules: which addresses are allowed.
        seconds: for one whole file, redirects included.
        resolve: of names.
        tls: of connections; None trusts the system's authorities.
    """

    rules: AddressRules = field(default_factory=AddressRules)
    seconds: float = 120.0
    resolve: Resolve = resolve_host
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched: its size and the SHA-256 of its bytes, in hexadecimal."""

    bytes: int
    sha256: str


async def fetch(
    url: str,
    target: Path,
    how: Fetching,
    *,
    limit_bytes: int,
    sha256: str | None = None,
    field: str = "url",
) -> Fetched:
    """Fetches a file.

    Args:
        url: an https:// address.
        target: where to write it; nothing is left there after a failure.
        how: rules, clocks and trust.
        limit_bytes: a larger file is refused, whatever length was announced.
        sha256: of the file, where it is known: another one is refused.
        field: that names the address, for errors.

    Raises:
        InvalidInputError: SOURCE_REFUSED, SOURCE_NOT_FOUND, SOURCE_TOO_LARGE or SOURCE_MISMATCH.
        AvatarError: SOURCE_UNREACHABLE: no answer, a broken one, or out of time; it may go better later.
        StoreError: it can't be written.
    """
    trip = _Trip(url, how, limit_bytes, field)
    try:
        async with asyncio.timeout(how.seconds):
            fetched = await trip.into(target)
        if sha256 is not None and fetched.sha256 != sha256:
            message = f"the file's SHA-256 is {fetched.sha256}, not {sha256}"
            raise InvalidInputError(Reason.SOURCE_MISMATCH, message, field=field)
    except BaseException as error:
        target.unlink(missing_ok=True)  # noqa: ASYNC240 - at once, whatever ends it
        if isinstance(error, TimeoutError):
            raise trip.unreachable(f"it took longer than {how.seconds:g} s") from None
        raise
    return fetched


class _Trip:
    """One fetch, through its redirects."""

    def __init__(self, url: str, how: Fetching, limit_bytes: int, field: str) -> None:
        self._url, self._how, self._limit, self._field = url, how, limit_bytes, field
        self._at = url

    async def into(self, target: Path) -> Fetched:
        tls = self._how.tls or ssl.create_default_context()
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls, http1=True, http2=False, retries=0, network_backend=CheckedNetwork(self._checked)
        )
        try:
            async with pool:
                for _ in range(REDIRECTS_MAX + 1):
                    self._check_address()
                    fetched = await self._ask(pool, target)
                    if fetched is not None:
                        return fetched
        except httpcore2.TimeoutException:
            raise self.unreachable("its server does not answer in time") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, ssl.SSLError) as error:
            raise self.unreachable(str(error) or type(error).__name__) from None
        raise self.refused(f"more than {REDIRECTS_MAX} redirects")

    async def _ask(self, pool: httpcore2.AsyncConnectionPool, target: Path) -> Fetched | None:
        """The file; None: it is elsewhere, where `_at` is now."""
        host = urlsplit(self._at).netloc
        headers: dict[bytes | str, bytes | str] = {
            "host": host,
            "user-agent": AGENT,
            "accept-encoding": "identity",
        }
        timeouts = {
            "connect": CONNECT_SECONDS,
            "read": SILENCE_SECONDS,
            "write": SILENCE_SECONDS,
            "pool": SILENCE_SECONDS,
        }
        async with pool.stream("GET", self._at, headers=headers, extensions={"timeout": timeouts}) as answer:
            if answer.status in _MOVED:
                self._at = self._moved(answer.headers)
                return None
            self._check_status(answer.status)
            return await self._pour(answer.aiter_stream(), target)

    async def _pour(self, pieces: AsyncIterable[bytes], target: Path) -> Fetched:
        digest, size = hashlib.sha256(), 0
        with _written(target):
            file = target.open("wb", buffering=0)
        with file:
            async for piece in pieces:
                size += len(piece)
                if size > self._limit:
                    message = f"{self._told} is larger than {self._limit} bytes"
                    raise InvalidInputError(Reason.SOURCE_TOO_LARGE, message, field=self._field)
                digest.update(piece)
                left = memoryview(piece)
                with _written(target):
                    while left:
                        left = left[file.write(left) :]
        return Fetched(size, digest.hexdigest())

    async def _checked(self, host: str, port: int) -> Sequence[Address]:
        """What a host resolves to; all of it must be allowed, so that chance decides nothing."""
        found = await self._resolved(host, port)
        if not found:
            raise self.unreachable(f"{host} has no address")
        for address in found:
            if not self._how.rules.permits(address):
                # Which address would tell anybody what the names inside stand for.
                raise self.refused(f"{host} is not at a public address")
        return found

    async def _resolved(self, host: str, port: int) -> Sequence[Address]:
        try:
            return (ip_address(host),)
        except ValueError:
            pass
        try:
            return tuple(await self._how.resolve(host, port))
        except (OSError, UnicodeError) as error:
            raise self.unreachable(f"{host} can't be resolved: {error}") from None

    def _check_address(self) -> None:
        """Each address on the way; the models have checked only the first."""
        try:
            parts = urlsplit(self._at)
            fine = parts.scheme == "https" and parts.hostname and parts.port != 0
        except ValueError:
            fine, parts = False, urlsplit("")
        printable = self._at.isascii() and self._at.isprintable() and " " not in self._at
        if not fine or not printable or len(self._at) > URL_CHARACTERS_MAX:
            raise self.refused("it is not an https:// address")
        if "@" in parts.netloc:
            raise self.refused("it holds a user or password")

    def _moved(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        target = next((value for name, value in headers if name.lower() == b"location"), None)
        if target is None:
            raise self.unreachable("a redirect without an address")
        try:
            return urljoin(self._at, target.decode("latin-1")).partition("#")[0]
        except ValueError:
            raise self.refused("a redirect to what is no address") from None

    def _check_status(self, status: int) -> None:
        if status == 200:
            return
        if status >= 500 or status in _LATER:
            raise self.unreachable(f"its server answers {status}")
        raise InvalidInputError(
            Reason.SOURCE_NOT_FOUND, f"{self._told}: its server answers {status}", field=self._field
        )

    def refused(self, why: str) -> InvalidInputError:
        """It will be refused again."""
        return InvalidInputError(Reason.SOURCE_REFUSED, f"{self._told}: {why}", field=self._field)

    def unreachable(self, why: str) -> AvatarError:
        """It may go better later."""
        return AvatarError(Reason.SOURCE_UNREACHABLE, f"{self._told}: {why}", field=self._field)

    @property
    def _told(self) -> str:
        """The address as it was given; what follows the path may be somebody's secret."""
        shown, _, query = self._url.partition("?")
        where = f"{shown[:300]}{'?…' if query else ''}"
        return where if self._at == self._url else f"{where} (by way of a redirect)"


@contextmanager
def _written(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise typed_store_error(error, "write", str(target)) from None
