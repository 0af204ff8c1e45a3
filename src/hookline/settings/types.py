"""Types of settings as variables spell them: comma-separated lists, networks, seconds."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode


def _listed(value: object) -> object:
    """Split `a, b` as variables hold lists; `none` is the empty list."""
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "none":
        return ()
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _networks(value: object) -> object:
    if not isinstance(value, Iterable):
        return value
    return tuple(_network(item) for item in value)


def _network(item: object) -> object:
    try:
        return ip_network(item) if isinstance(item, str) else item
    except ValueError as error:
        advice = "write networks as 10.0.0.0/8, single addresses as 10.0.0.7/32 or fd00::7/128"
        raise ValueError(f"{error}; {advice}") from error


def _name_server(text: str) -> str:
    """Check an address, perhaps with a port; an IPv6 one then stands in brackets."""
    host, _, port = text.rpartition(":") if _PORTED.fullmatch(text) else (text, "", "53")
    try:
        ip_address(host.strip("[]"))
    except ValueError as error:
        raise ValueError("must be an IP address, perhaps with a port") from error
    if not 1 <= int(port) <= _MAX_PORT:
        raise ValueError(f"must have a port between 1 and {_MAX_PORT}")
    return text


_PORTED = re.compile(r"(?:[0-9.]+|\[[^\]]+\]):[0-9]{1,5}")
_MAX_PORT = 65_535
_List = (NoDecode, BeforeValidator(_listed))
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks), *_List]
NameServers = Annotated[tuple[Annotated[str, AfterValidator(_name_server)], ...], *_List]
Secrets = Annotated[tuple[SecretStr, ...], *_List]
Origins = Annotated[
    tuple[Annotated[str, Field(pattern=r"^https?://[a-z0-9.\-\[\]:]+$")], ...], *_List
]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Delays = Annotated[tuple[Annotated[float, Field(ge=0, le=86_400)], ...], *_List]
