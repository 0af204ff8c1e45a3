"""Types of settings as variables spell them: comma-separated lists, networks, seconds."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from hookline.db.address import parse
from hookline.domain.access import is_key
from hookline.errors import ConfigurationError


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


def _postgres(url: SecretStr) -> SecretStr:
    try:
        parse(url.get_secret_value())
    except ConfigurationError as error:
        sentence = str(error).removeprefix("HOOKLINE_DATABASE_URL ").removesuffix(".")
        raise ValueError(sentence) from None
    return url


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("must be an origin like https://pbx.example.com, without a path")
    return text


def _admin_key(key: SecretStr) -> SecretStr:
    if not is_key(key.get_secret_value()):
        raise ValueError(
            "must be hk_ and 32 to 128 letters, digits, _ or -; `openssl rand -hex 24` makes"
            " the latter"
        )
    return key


def _http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    try:
        parts = urlsplit(url)
        named = parts.hostname and parts.port != 0
    except ValueError:  # its text quotes the URL, which may hold a password
        named = False
    if not named:
        raise ValueError("must name a host, like http://proxy.example.com:3128")
    return url


def _secret_http(url: SecretStr) -> SecretStr:
    return SecretStr(_http(url.get_secret_value()))


def _no_service_link(value: object) -> object:
    if isinstance(value, str) and value.startswith("tcp://"):
        raise ValueError(
            "holds what Kubernetes puts there for a Service named hookline; set the pod's"
            " enableServiceLinks to false, or the variable itself"
        )
    return value


_ORIGIN = re.compile(r"https?://[a-z0-9.\-\[\]:]+")
_PORTED = re.compile(r"(?:[0-9.]+|\[[^\]]+\]):[0-9]{1,5}")
_MAX_PORT = 65_535
_List = (NoDecode, BeforeValidator(_listed))
DatabaseUrl = Annotated[SecretStr, AfterValidator(_postgres)]
AdminKey = Annotated[SecretStr, AfterValidator(_admin_key)]
HttpUrl = Annotated[str, AfterValidator(_http)]
SecretHttpUrl = Annotated[SecretStr, AfterValidator(_secret_http)]
Port = Annotated[int, Field(ge=0, le=_MAX_PORT), BeforeValidator(_no_service_link)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks), *_List]
NameServers = Annotated[tuple[Annotated[str, AfterValidator(_name_server)], ...], *_List]
Secrets = Annotated[tuple[SecretStr, ...], *_List]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], *_List]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Delays = Annotated[tuple[Annotated[float, Field(ge=0, le=86_400)], ...], *_List]
