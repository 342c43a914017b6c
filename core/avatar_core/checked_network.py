"""Connections of an HTTP client that go to addresses which were checked, without a second resolution."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address

import httpcore2

from avatar_core.addresses import Address

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""All addresses of a host, in the order in which they are to be tried; raises OSError."""


async def resolve_host(host: str, port: int) -> Sequence[Address]:
    """As the system resolves names."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(ip_address(str(each[4][0]).partition("%")[0]) for each in found)


class CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to checked addresses alone. TLS still asks for the host's name: httpcore names it itself.

    Args:
        addresses: of a host, all of them checked; raises what `fetch` raises.
    """

    def __init__(self, addresses: Resolve) -> None:
        self._addresses, self._inner = addresses, httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """To the first address that answers."""
        failure: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout=timeout, local_address=local_address
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def sleep(self, seconds: float) -> None:
        """For httpcore's own retries."""
        await self._inner.sleep(seconds)
