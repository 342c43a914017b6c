"""Which addresses a file may be fetched from: public ones, never the cluster's own. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

from avatar_core.errors import InvalidInputError, Reason

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "100.64.0.0/10",  # shared by providers; clusters and clouds' services use it too
            "168.63.129.16/32",  # a public address that is Azure's own service in every machine
            "192.0.0.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "198.18.0.0/15",
            "fec0::/10",  # site-local, of old
            "2001::/23",  # Teredo and others: an IPv4 address may be in it
            "64:ff9b:1::/48",  # NAT64 of a network's own
        ),
    )
)
_MAPPED, _COMPATIBLE = IPv6Network("::ffff:0:0/96"), IPv6Network("::/96")
_TRANSLATED, _NAT64, _SIX_TO_FOUR = (
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("64:ff9b::/96"),
    IPv6Network("2002::/16"),
)


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What an administrator says beyond what always holds.

    Attributes:
        refuse: networks that are never fetched from, such as the cluster's own where they are public ones.
        allow: networks that may be though they are private, such as an object store's; wins over all else.
    """

    refuse: tuple[Network, ...] = ()
    allow: tuple[Network, ...] = ()

    @classmethod
    def read(cls, document: Mapping[str, Sequence[str]]) -> AddressRules:
        """From `{"refuse": ["10.0.0.0/8"], "allow": []}`.

        Raises:
            InvalidInputError: something is no network.
        """
        found = []
        for field in ("refuse", "allow"):
            try:
                found.append(tuple(ip_network(text) for text in document.get(field, ())))
            except (TypeError, ValueError, AttributeError) as error:
                raise InvalidInputError(Reason.INVALID_SPEC, str(error), field=f"fetch.{field}") from None
        return cls(*found)

    def permits(self, address: Address) -> bool:
        """Whether a file may be fetched from there. An IPv4 address hidden in an IPv6 one counts as both."""
        forms = (address, *hidden(address))
        if any(_within(form, self.allow) for form in forms):
            return True
        return not any(_is_refused(form) or _within(form, self.refuse) for form in forms)


def hidden(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address stands for: mapped, translated, NAT64 and 6to4."""
    if isinstance(address, IPv4Address):
        return ()
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in network for network in (_MAPPED, _COMPATIBLE, _TRANSLATED, _NAT64)):
        return (low,)
    if address in _SIX_TO_FOUR:
        return (IPv4Address(int(address) >> 80 & 0xFFFFFFFF),)
    return ()


def _is_refused(address: Address) -> bool:
    if isinstance(address, IPv6Address) and hidden(address):
        # What it stands for decides; the form itself is "reserved" or not as Python's version has it.
        return address in _COMPATIBLE
    return (
        not address.is_global
        or address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or _within(address, _REFUSED)
    )


def _within(address: Address, networks: Iterable[Any]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
