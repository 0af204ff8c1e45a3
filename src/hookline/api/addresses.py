"""Networks of clients: whose address counts as one client's."""

from ipaddress import IPv6Address, ip_address

_ONE_CUSTOMER = 64  # bits of an IPv6 address that one subscriber has all addresses behind


def network_of(host: str) -> str:
    """Return an IPv4 address, or the /64 of an IPv6 address; anything else as it is."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        prefix = int(address) >> _ONE_CUSTOMER << _ONE_CUSTOMER
        return str(mapped or f"{IPv6Address(prefix)}/{_ONE_CUSTOMER}")
    return host
