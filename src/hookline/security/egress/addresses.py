"""Which addresses belong to the public internet, and may therefore be connected to.

Python's `ipaddress.is_global` is not that question: it is true for multicast, NAT64, 6to4 and
IPv4-translated addresses. So the special blocks are listed here (IANA's special-purpose registries
of both families), and whatever is not plain unicast outside of them is refused.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IPV4_REFUSED: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(block), why)
    for block, why in (
        ("0.0.0.0/8", "this network, unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata (Azure's, within public space)"),
        ("169.254.0.0/16", "link-local, cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112 sink"),
        ("192.52.193.0/24", "AMT relay"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112 sink"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved, broadcast"),
    )
)
# Only 2000::/3 is given out as public unicast. All the rest (loopback, mapped, compatible and
# translated IPv4, both NAT64 prefixes, ULA, link- and site-local, multicast, SRv6 …) is refused.
_IPV6_PUBLIC = IPv6Network("2000::/3")
_IPV6_REFUSED: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(block), why)
    for block, why in (
        ("2001::/23", "protocol assignments, Teredo and ORCHID among them"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112 sink"),
        ("3ffe::/16", "the former 6bone"),
        ("3fff::/20", "documentation"),
    )
)
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # the interface identifiers' upper halves, RFC 5214

_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_LAST_32_BITS = 0xFFFF_FFFF


def why_not_public(address: Address) -> str | None:
    """Return what kind of address it is when it is not a public one, else None."""
    if isinstance(address, IPv4Address):
        return next((why for block, why in _IPV4_REFUSED if address in block), None)
    if address.scope_id is not None:
        return "bound to a zone of this machine"
    if address not in _IPV6_PUBLIC:
        return "outside of public unicast space"
    if _is_isatap(address):
        return "ISATAP"
    return next((why for block, why in _IPV6_REFUSED if address in block), None)


def why_refused(address: Address, allowed: Sequence[Network]) -> str | None:
    """Return why the address may not be connected to, or None: it is public, or allowed.

    An allowed network of addresses that embed IPv4 ones (NAT64's prefix, say) allows no more than
    is allowed of those.
    """
    if in_networks(address, allowed):
        embedded = () if isinstance(address, IPv4Address) else embedded_ipv4(address)
        return next((why for inner in embedded if (why := why_refused(inner, allowed))), None)
    return why_not_public(address)


def in_networks(address: Address, networks: Sequence[Network]) -> bool:
    """Tell whether one of the networks holds the address; a zone id is never inside."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    return any(address.version == n.version and address in n for n in networks)


def embedded_ipv4(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """Return every IPv4 address that a gateway would find inside of this one."""
    bits = int(address)
    low = IPv4Address(bits & _LAST_32_BITS)
    if int(address) <= 1:  # unspecified and loopback, not "compatible"
        return ()
    if any(address in block for block in (_MAPPED, _TRANSLATED, _COMPATIBLE, _NAT64)):
        return (low,)
    if address in _NAT64_LOCAL:  # RFC 6052: where it lies depends on the prefix length in use
        return (low, *(_rfc6052(bits, prefix) for prefix in (48, 56, 64)))
    if address in _SIX_TO_FOUR:
        return (IPv4Address(bits >> 80 & _LAST_32_BITS),)
    if address in _TEREDO:
        return (IPv4Address(bits >> 64 & _LAST_32_BITS), IPv4Address(~bits & _LAST_32_BITS))
    return (low,) if _is_isatap(address) else ()


def parse_address(text: str) -> Address:
    """Read an address as a resolver prints it; anything else raises ValueError."""
    return ip_address(text)


def _is_isatap(address: IPv6Address) -> bool:
    return (int(address) >> 32 & _LAST_32_BITS) in _ISATAP


def _rfc6052(bits: int, prefix: int) -> IPv4Address:
    """Take 32 bits after the prefix, leaving out bits 64–71, which RFC 6052 keeps at zero."""
    without_u = bits >> 64 << 56 | bits & (1 << 56) - 1  # 120 bits
    return IPv4Address(without_u >> (120 - prefix - 32) & _LAST_32_BITS)
