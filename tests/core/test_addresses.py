"""Which addresses a file may come from."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.addresses import AddressRules
from avatar_core.errors import InvalidInputError

REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1
172.31.255.255 192.168.1.1 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
240.0.0.1 255.255.255.255 168.63.129.16 192.88.99.1
:: ::1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 2001:db8::1 100::1 2001::1 64:ff9b:1::808:808
::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 ::8.8.8.8 ::ffff:0:10.0.0.1
64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 2002:7f00:1:: 2002:a00:1::1 2002:a9fe:a9fe::
""".split()
ALLOWED = """
1.1.1.1 8.8.8.8 11.0.0.1 172.32.0.1 192.167.1.1 100.63.255.255 100.128.0.1 169.253.0.1 223.255.255.255
2606:4700:4700::1111 2a00:1450:4001:82a::200e ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1
""".split()


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not AddressRules().permits(ip_address(address))


@pytest.mark.parametrize("address", ALLOWED)
def test_what_is_public_is_allowed(address: str) -> None:
    assert AddressRules().permits(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"])
def test_an_administrator_refuses_every_form(address: str) -> None:
    rules = AddressRules.read({"refuse": ["8.8.0.0/16"], "allow": []})
    assert not rules.permits(ip_address(address))
    assert rules.permits(ip_address("8.9.0.1"))


def test_an_administrator_allows_a_store_of_his_own() -> None:
    rules = AddressRules.read({"refuse": ["10.0.0.0/8"], "allow": ["10.7.0.0/24", "fd00:7::/64"]})
    assert rules.permits(ip_address("10.7.0.9"))
    assert rules.permits(ip_address("fd00:7::9"))
    assert not rules.permits(ip_address("10.7.1.9"))
    assert not rules.permits(ip_address("fd00:8::9"))


@pytest.mark.parametrize("networks", [["10.0.0.1/8"], ["host"], "10.0.0.0/8", [None]])
def test_what_is_no_network_is_told(networks: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        AddressRules.read({"refuse": networks})  # type: ignore[dict-item]
    assert caught.value.field == "fetch.refuse"


PRIVATE = [
    ip_network(net)
    for net in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
]


@given(st.ip_addresses(v=4))
def test_no_form_of_an_address_is_let_through_where_it_is_not_itself(address: IPv4Address) -> None:
    value, rules = int(address), AddressRules()
    permitted = rules.permits(address)
    for base in ("::ffff:0:0", "::ffff:0:0:0", "64:ff9b::"):
        assert rules.permits(IPv6Address(int(IPv6Address(base)) | value)) is permitted
    assert rules.permits(IPv6Address(int(IPv6Address("2002::")) | value << 80 | 1)) is permitted
    assert not rules.permits(IPv6Address(value))
    if any(address in network for network in PRIVATE):
        assert not permitted


@given(st.ip_addresses(v=6))
def test_what_python_calls_private_is_refused(address: IPv6Address) -> None:
    if not address.is_global and address.ipv4_mapped is None:
        assert not AddressRules().permits(address)
