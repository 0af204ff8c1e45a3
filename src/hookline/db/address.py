"""Reads the database's URL as libpq does, and never repeats any part of it.

What is handed on to asyncpg is a URL of our own, made of parts that were checked: its parser quotes
what it does not understand, and sends unknown parameters to the server.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlencode

from hookline.errors import ConfigurationError

CONNECT_TIMEOUT: Final = 5.0  # seconds; a server that takes longer is as good as away
_SCHEMES = ("postgresql", "postgres")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_REST = re.compile(r"(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_UNSEEN = " \t\r\n\ufeff"  # what editors, files and shells leave around a value
_SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
_SWITCH = frozenset({"0", "1"})

_PASSED_ON: Final[dict[str, frozenset[str] | None]] = {
    "host": None,
    "port": None,
    "user": None,
    "password": None,
    "dbname": None,
    "passfile": None,
    "krbsrvname": None,
    "gsslib": frozenset({"gssapi"}),
    "sslmode": _SSL_MODES,
    "sslcert": None,
    "sslkey": None,
    "sslpassword": None,
    "sslrootcert": None,
    "sslcrl": None,
    "sslnegotiation": frozenset({"postgres", "direct"}),
    "ssl_min_protocol_version": frozenset({"TLSv1.2", "TLSv1.3"}),
    "ssl_max_protocol_version": frozenset({"TLSv1.2", "TLSv1.3"}),
    "target_session_attrs": frozenset({"any", "primary", "read-write"}),
}
"""What asyncpg honours, each with the values that Hookline can work with; None: whichever."""

_WITHOUT_EFFECT: Final[dict[str, frozenset[str] | None]] = {
    "channel_binding": frozenset({"disable", "prefer", "require"}),
    "client_encoding": frozenset({"utf8", "utf-8", "UTF8", "UTF-8", "auto"}),
    "fallback_application_name": None,
    "gssdelegation": frozenset({"0"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "keepalives": _SWITCH,
    "keepalives_count": None,
    "keepalives_idle": None,
    "keepalives_interval": None,
    "load_balance_hosts": frozenset({"disable"}),
    "max_protocol_version": None,
    "min_protocol_version": frozenset({"3.0"}),
    "replication": frozenset({"0", "false", "off", "no"}),
    "requiressl": frozenset({"0"}),
    "sslcertmode": frozenset({"allow"}),
    "sslcompression": _SWITCH,
    "sslsni": frozenset({"1"}),
    "tcp_user_timeout": None,
}
"""What changes nothing here with these values: Hookline has timeouts of its own on every wait."""

_FILES: Final = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl")
_HONOURED: Final = frozenset({"application_name", "connect_timeout", "options"})
_REFUSED: Final = frozenset(
    {
        "currentSchema",
        "hostaddr",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_issuer",
        "oauth_scope",
        "pgbouncer",
        "require_auth",
        "requirepeer",
        "schema",
        "scram_client_key",
        "scram_server_key",
        "search_path",
        "service",
        "servicefile",
        "sslcrldir",
        "sslkeylogfile",
        "statement_timeout",
    }
)
"""Names that people write and Hookline does not take; others are not repeated, for they may be part
of a password."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is, and how its sessions begin."""

    dsn: str = field(repr=False)  # of checked parts, in a form that asyncpg reads as we do
    startup: dict[str, str] = field(repr=False)  # parameters that the URL wants at the start
    application_name: str | None
    connect_timeout: float  # seconds
    files: dict[str, str] = field(repr=False)  # by parameter, to look at where one fails
    system_authorities: bool  # `sslrootcert=system`
    binds_channel: bool  # it demands SCRAM channel binding, which asyncpg does not have


@lru_cache(maxsize=8)
def parse(url: str) -> Address:
    """Read a URL; ConfigurationError says what is wrong without repeating any of it."""
    text = url.strip(_UNSEEN)
    scheme = _SCHEME.match(text)
    if scheme is None or scheme[1].lower() not in _SCHEMES:
        raise ConfigurationError(
            "HOOKLINE_DATABASE_URL must start with postgresql://, the one database Hookline uses."
        )
    rest = _REST.fullmatch(text, scheme.end())
    if rest is None or any(map(_is_control, text)):
        raise _unreadable()
    authority, path, query = rest["authority"], rest["path"], rest["query"] or ""
    login, at, hosts = authority.rpartition("@")
    if "@" in login + path + query:
        raise _unreadable()
    given = _parameters(query)
    passed = {name: value for name, value in given.items() if name in _PASSED_ON}
    system = passed.get("sslrootcert") == "system"
    if system:
        del passed["sslrootcert"]
    return Address(
        dsn=_rewritten(login, at, hosts, path, passed),
        startup={"options": given["options"]} if "options" in given else {},
        application_name=given.get("application_name"),
        connect_timeout=_seconds(given.get("connect_timeout", "")),
        files={name: passed[name] for name in _FILES if name in passed},
        system_authorities=system,
        binds_channel=given.get("channel_binding") == "require",
    )


def _rewritten(login: str, at: str, hosts: str, path: str, passed: dict[str, str]) -> str:
    """Put a URL together of parts that are checked, each encoded."""
    user, _, password = login.partition(":")
    credentials = f"{_quoted(user)}:{_quoted(password)}" if password else _quoted(user)
    if "host" in passed:  # in libpq, a parameter wins over what stands before the path
        hosts = ",".join(quote(host, safe="") for host in passed.pop("host").split(","))
    if hosts.startswith(":"):
        passed["port"], hosts = _port(hosts).removeprefix(":"), ""
    named = [_host(host) for host in hosts.split(",")] if hosts else []
    if "port" in passed:
        ports = [_port(f":{port}") for port in passed["port"].split(",")]
        if named:  # asyncpg looks for ports beside the hosts alone
            del passed["port"]
            named = _with_ports(named, ports)
    database = f"/{_quoted(path[1:])}" if path[1:] else ""
    parameters = f"?{urlencode(passed)}" if passed else ""
    return f"postgresql://{credentials}{at}{','.join(named)}{database}{parameters}"


def _with_ports(hosts: list[str], ports: list[str]) -> list[str]:
    """Give each host the port of its place; one port is that of all."""
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise _unreadable()
    bare = [re.sub(r":\d*$", "", host) if not host.endswith("]") else host for host in hosts]
    return [host + port for host, port in zip(bare, ports, strict=True)]


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters that are set to something, each known and with a value it may have."""
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise _unreadable()
        name, value = _decoded(name), _decoded(value)
        if (name, value) == ("ssl", "true"):  # as JDBC says it, and libpq understands it
            name, value = "sslmode", "require"
        if value:
            found[name] = value
    for name, value in found.items():
        _check(name, value)
    return found


def _check(name: str, value: str) -> None:
    known = _PASSED_ON | _WITHOUT_EFFECT
    if name in _HONOURED:
        return
    if name in known:
        allowed = known[name]
        if allowed is not None and value not in allowed:
            raise ConfigurationError(
                f"HOOKLINE_DATABASE_URL has a {name} that Hookline cannot work with: "
                f"use one of {', '.join(sorted(allowed))}, or leave it out."
            )
        return
    if name in _REFUSED:
        raise ConfigurationError(
            f"HOOKLINE_DATABASE_URL has the parameter {name}, which Hookline does not support: "
            "leave it out."
        )
    raise ConfigurationError(
        "HOOKLINE_DATABASE_URL has a parameter that is not one of libpq's: leave it out, and"
        " percent-encode every & ? and = that belongs to a value."
    )


def _seconds(text: str) -> float:
    """Read `connect_timeout`; zero and less wait for ever in libpq, and as usual here."""
    if not text:
        return CONNECT_TIMEOUT
    if re.fullmatch(r"\s*[+-]?\d{1,9}\s*", text) is None:
        raise ConfigurationError(
            "HOOKLINE_DATABASE_URL has a connect_timeout that is not a number of seconds."
        )
    return float(text) if int(text) > 0 else CONNECT_TIMEOUT


def _host(text: str) -> str:
    """Return one `host`, `host:port`, `[IPv6]:port` or percent-encoded socket folder, checked."""
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")) or not _is_ipv6(_decoded(host)):
            raise _unreadable()
        return f"[{_decoded(host)}]{_port(port)}"
    host, colon, port = text.partition(":")
    decoded = _decoded(host)
    if _is_ipv6(decoded):  # a parameter's value has no brackets
        return f"[{decoded}]"
    if not decoded.startswith("/") and _HOST.fullmatch(decoded) is None:
        raise _unreadable()
    return f"{quote(decoded, safe='')}{_port(colon + port)}"


def _port(text: str) -> str:
    if text in {"", ":"}:
        return ""
    number = text.removeprefix(":")
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 65_536):  # noqa: PLR2004 - TCP's
        raise _unreadable()
    return text


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6  # noqa: PLR2004 - the protocol's number
    except ValueError:
        return False


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or ord(character) == 0x7F or "\ud800" <= character <= "\udfff"  # noqa: PLR2004 - ASCII's control characters, and what is no text


def _quoted(text: str) -> str:
    return quote(_decoded(text), safe="")


def _decoded(text: str) -> str:
    if _ESCAPE.search(text) is not None:
        raise _unreadable()
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise _unreadable() from None
    if "\x00" in decoded:
        raise _unreadable()
    return decoded


def _unreadable() -> ConfigurationError:
    return ConfigurationError(
        "HOOKLINE_DATABASE_URL cannot be read as postgresql://user:password@host:port/database:"
        " percent-encode what is special in its parts, above all in the password"
        " (/ is %2F, # is %23, ? is %3F, @ is %40, : is %3A, % is %25, [ is %5B, ] is %5D, a space"
        " is %20)."
    )
