"""What a target's URL may look like, before any name is looked up.

There is one parser: what it returns is what is vetted, what is connected to and what the `Host`
header says. It refuses what two parsers could read in two ways, instead of guessing.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import httpx
import idna
import msgspec

from hookline.errors import FieldProblem, InvalidInput
from hookline.security.egress.addresses import Address

URL_PATH = "transmission.url"  # where the URL stands in an integration
MAX_URL = 2048  # characters; what browsers and proxies agree on
MAX_PORT = 65_535

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_NAME = 253  # characters of a DNS name without its trailing dot (RFC 1035)
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\\]")


class Origin(msgspec.Struct, frozen=True):
    """Whom a connection is made with. `host` is lower-case ASCII: a name or a bare address."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The `Host` header: brackets around IPv6, the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that was understood: its origin, and the path with the query as they were written."""

    origin: Origin
    rest: str

    @property
    def url(self) -> str:
        """The URL again, its host in ASCII and its port in the usual form."""
        return f"{self.origin.scheme}://{self.origin.authority}{self.rest or '/'}"


class BadHost(ValueError):
    """A host that is neither a DNS name nor an address in its usual form; a sentence says so."""


def parse_url(url: str) -> Endpoint:
    """Understand a target's URL, or raise InvalidInput with the sentence for its field."""
    if len(url) > MAX_URL:
        raise _bad(f"The URL has {len(url)} characters; at most {MAX_URL:,} are possible.")
    if _UNPRINTABLE.search(url):
        raise _bad("Remove the spaces, control characters or backslashes from the URL.")
    if (parts := _URL.fullmatch(url)) is None:
        raise _bad("Give a whole URL, such as https://crm.example.com/hook.")
    scheme = parts["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise _bad(f"The URL must begin with https://, not {scheme}://.")
    if "#" in parts["rest"]:
        raise _bad("Remove the fragment (from # on): it is never sent to a server.")
    return Endpoint(_origin(scheme, parts["authority"]), parts["rest"])


def origin_of(url: httpx.URL) -> Origin:
    """Return whom a request to this URL connects to; the policy judges it when it does."""
    scheme = url.scheme
    return Origin(scheme, url.raw_host.decode("ascii"), url.port or _DEFAULT_PORTS.get(scheme, 0))


def literal_address(host: str) -> Address | None:
    """Return the address that a host in its usual form is, or None when it is a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return None


def normal_host(host: str) -> str:
    """Return the host's one form: an ASCII name in lower case, or a bare address.

    Short, octal, hexadecimal and decimal spellings of addresses are refused (BadHost), also where
    they are written in another script, and so are zone ids and percent-encoding.
    """
    if "%" in host:
        raise BadHost("Write the host without percent-encoding and without a zone id.")
    if host.startswith("["):
        return _ipv6(host[1:-1])
    name = _ascii(host).removesuffix(".").lower()
    if not name:
        raise BadHost("The URL names no host; give one, such as https://crm.example.com/hook.")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(name)
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadHost("The URL's host is not a valid DNS name.")
    return name


def _origin(scheme: str, authority: str) -> Origin:
    if "@" in authority:
        raise _bad("Remove the user name and password from the URL; use a header instead.")
    if (parts := _AUTHORITY.fullmatch(authority)) is None:
        raise _bad("The URL's host is not a valid DNS name or address.")
    try:
        host = normal_host(parts["host"])
    except BadHost as problem:
        raise _bad(str(problem)) from problem
    return Origin(scheme, host, _port(scheme, parts["port"]))


def _port(scheme: str, text: str | None) -> int:
    if not text:
        return _DEFAULT_PORTS[scheme]
    port = int(text) if len(text) <= len(str(MAX_PORT)) else 0
    if not 1 <= port <= MAX_PORT:
        raise _bad(f"The URL's port must be between 1 and {MAX_PORT}.")
    return port


def _ascii(host: str) -> str:
    try:
        mapped = host if host.isascii() else idna.uts46_remap(host, std3_rules=True)
        return mapped if mapped.isascii() else idna.encode(mapped).decode("ascii")
    except idna.IDNAError as problem:
        raise BadHost("The URL's host is not a valid internationalised name.") from problem


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError as problem:
        raise BadHost("Write an IPv4 address as four decimal numbers, like 192.0.2.1.") from problem


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError as problem:
        raise BadHost("The URL's host is not a valid IPv6 address.") from problem


def _bad(message: str) -> InvalidInput:
    return InvalidInput(FieldProblem(URL_PATH, message))
