"""Addresses of a machine of a node's own, chosen so that several machines run side by side."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

_ROUTES = Path("/proc/net/route")
_CHOICES = IPv4Network("10.192.0.0/11")
_PREFIX = 24


@dataclass(frozen=True, slots=True)
class Network:
    """One /24: the cable between this machine and the node's, and the node's pods.

    Attributes:
        whole: all of it; what this machine sends there goes by way of `node`.
    """

    whole: IPv4Network

    @property
    def cable(self) -> str:
        """Name of this machine's end of the cable; whoever has it has the network."""
        return f"avatar-{int(self.whole.network_address) >> 8:x}"

    @property
    def host(self) -> str:
        """This machine's end: here pods and the node reach it."""
        return str(self.whole[1])

    @property
    def node(self) -> str:
        """The node's end and its address in the cluster."""
        return str(self.whole[2])

    @property
    def cable_prefix(self) -> int:
        """Length of the prefix of `host` and `node`."""
        return 30

    @property
    def pods(self) -> IPv4Network:
        """Pods' addresses; the first is the bridge's."""
        return IPv4Network((self.whole[128], 25))

    @property
    def bridge(self) -> str:
        """The node's address towards its pods: their way out and their name server."""
        return str(self.pods[1])


def candidates() -> Iterator[Network]:
    """Networks to try, in random order, that no route of this machine leads to."""
    taken = routes(_ROUTES.read_text())
    networks = list(_CHOICES.subnets(new_prefix=_PREFIX))
    random.shuffle(networks)
    for network in networks:
        if not any(network.overlaps(other) for other in taken):
            yield Network(network)


def routes(table: str) -> list[IPv4Network]:
    """Destinations in the text of /proc/net/route, but the default."""
    rows = [line.split() for line in table.splitlines()[1:]]
    found = [IPv4Network((_address(row[1]), str(_address(row[7])))) for row in rows]
    return [network for network in found if network.prefixlen]


def _address(text: str) -> IPv4Address:
    """Hexadecimal, of this machine's byte order, which is little on all that run Kubernetes here."""
    return IPv4Address(int.from_bytes(bytes.fromhex(text), "little"))
