"""Random addresses against an oracle written another way: numbers, straight from the registries."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.security.egress.addresses import (
    Network,
    embedded_ipv4,
    in_networks,
    why_not_public,
    why_refused,
)

# IANA IPv4 Special-Purpose Address Registry, plus multicast (RFC 5771) and Azure's metadata
# address: (first octets, how many bits count).
IPV4_SPECIAL = (
    ((0,), 8),
    ((10,), 8),
    ((100, 64), 10),
    ((127,), 8),
    ((168, 63, 129, 16), 32),
    ((169, 254), 16),
    ((172, 16), 12),
    ((192, 0, 0), 24),
    ((192, 0, 2), 24),
    ((192, 31, 196), 24),
    ((192, 52, 193), 24),
    ((192, 88, 99), 24),
    ((192, 168), 16),
    ((192, 175, 48), 24),
    ((198, 18), 15),
    ((198, 51, 100), 24),
    ((203, 0, 113), 24),
    ((224,), 4),
    ((240,), 4),
)
# IANA IPv6 Special-Purpose Address Registry within 2000::/3, which alone is given out as global
# unicast (IANA IPv6 Address Space): (first groups, how many bits count).
IPV6_SPECIAL = (
    ((0x2001, 0x0000), 23),
    ((0x2001, 0x0DB8), 32),
    ((0x2002,), 16),
    ((0x2620, 0x004F, 0x8000), 48),
    ((0x3FFE,), 16),
    ((0x3FFF,), 20),
)


def begins_with(number: int, size: int, parts: tuple[int, ...], width: int, bits: int) -> bool:
    padded = parts + (0,) * (size // width - len(parts))
    value = 0
    for part in padded:
        value = (value << width) + part
    return number >> (size - bits) == value >> (size - bits)


def oracle(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is public."""
    number = int(address)
    if address.version == 4:
        return not any(begins_with(number, 32, octets, 8, bits) for octets, bits in IPV4_SPECIAL)
    groups = [int(group, 16) for group in address.exploded.split(":")]
    return (
        0x2000 <= groups[0] <= 0x3FFF
        and not any(begins_with(number, 128, parts, 16, bits) for parts, bits in IPV6_SPECIAL)
        and (groups[4] | 0x0200, groups[5]) != (0x0200, 0x5EFE)
    )


def edges(specials: tuple[tuple[tuple[int, ...], int], ...], size: int, width: int) -> list[int]:
    """Return the first and last number of each block, and their neighbours outside."""
    found = []
    for parts, bits in specials:
        first = sum(part << (size - width * (place + 1)) for place, part in enumerate(parts))
        last = first + 2 ** (size - bits) - 1
        found += [max(first - 1, 0), first, last, min(last + 1, 2**size - 1)]
    return found


ipv4 = st.one_of(st.ip_addresses(v=4), st.sampled_from(edges(IPV4_SPECIAL, 32, 8)).map(IPv4Address))
ipv6 = st.one_of(
    st.ip_addresses(v=6),
    st.sampled_from(edges(IPV6_SPECIAL, 128, 16)).map(IPv6Address),
    st.integers(0x2 << 124, (0x4 << 124) - 1).map(IPv6Address),
)


@given(address=st.one_of(ipv4, ipv6))
def test_an_address_is_public_exactly_where_the_registries_say_so(
    address: IPv4Address | IPv6Address,
) -> None:
    assert (why_not_public(address) is None) == oracle(address)


@given(address=st.one_of(ipv4, ipv6))
def test_python_itself_calls_nothing_private_that_is_public_here(
    address: IPv4Address | IPv6Address,
) -> None:
    if why_not_public(address) is None:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


WRAPPERS = {
    "mapped": lambda four: 0xFFFF << 32 | four,
    "compatible": lambda four: four,
    "translated": lambda four: 0xFFFF << 48 | four,
    "NAT64": lambda four: 0x64FF9B << 96 | four,
    "NAT64, local": lambda four: 0x64FF9B0001 << 80 | four,
    "NAT64, local, /48": lambda four: (
        0x64FF9B0001 << 80 | (four >> 16) << 64 | (four & 0xFFFF) << 40
    ),
    "NAT64, local, /64": lambda four: 0x64FF9B0001 << 80 | four << 24,
    "6to4": lambda four: 0x2002 << 112 | four << 80,
    "Teredo": lambda four: 0x20010000 << 96 | (~four & 0xFFFFFFFF),
    "ISATAP": lambda four: 0x2606_4700 << 96 | 0x5EFE << 32 | four,
    "ISATAP, universal": lambda four: 0x2606_4700 << 96 | 0x0200_5EFE << 32 | four,
}


@pytest.mark.parametrize("form", WRAPPERS)
@given(four=ipv4)
def test_no_address_that_embeds_an_ipv4_one_is_public(form: str, four: IPv4Address) -> None:
    six = IPv6Address(WRAPPERS[form](int(four)))
    assert why_not_public(six) is not None
    if int(six) > 1:
        assert four in embedded_ipv4(six)


@pytest.mark.parametrize("form", [form for form in WRAPPERS if form != "compatible"])
@given(four=ipv4)
def test_an_allowed_network_allows_no_more_than_is_allowed_of_what_it_embeds(
    form: str, four: IPv4Address
) -> None:
    allowed: tuple[Network, ...] = (ip_network("::/0"),)
    six = IPv6Address(WRAPPERS[form](int(four)))
    refused = any(why_not_public(inner) for inner in embedded_ipv4(six))
    assert (why_refused(six, allowed) is not None) == refused


def test_an_allowed_network_opens_itself_and_nothing_beside_it() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32"))
    for inside in ("10.1.0.0", "10.1.255.255", "fd00:1::1"):
        assert why_refused(ip_address(inside), allowed) is None
    for outside in ("10.0.255.255", "10.2.0.0", "fd00:2::1", "127.0.0.1", "::ffff:10.1.0.1"):
        assert why_refused(ip_address(outside), allowed) is not None


def test_a_zone_is_never_inside_a_network() -> None:
    assert not in_networks(ip_address("fe80::1%eth0"), (ip_network("fe80::/10"),))
    assert why_refused(ip_address("2606:4700::1%eth0"), ()) is not None
