"""TLS on the way out: which certificates are trusted, and how a connection resumes an earlier one.

Resuming takes a fifth of the processor time of a whole handshake (200 µs of 1,000), and over TLS
1.2 a round trip less.
"""

import ssl
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from hookline.errors import ConfigurationError
from hookline.security.egress.urls import Origin

_MOST_SESSIONS: Final = 2_048  # of some 6 kB each
_RESUMED_FOR: Final = 3_600.0  # seconds after which the certificate is verified anew

# Python's own defaults differ: 3.13 set STRICT, which refuses certificates that every browser takes
# (without a key identifier, say), and PARTIAL_CHAIN, by which an operator may trust an intermediate
# authority or a single certificate.
_VERIFY_FLAGS: Final = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags(
    ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
)


def client_tls(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that verifies certificate and host name and speaks TLS 1.2 or newer.

    Trusted are the system's authorities and the operator's own file, under any version of Python.
    """
    context = ssl.create_default_context()
    context.sslobject_class = _Connection
    context.verify_flags = _VERIFY_FLAGS
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"{ca_file} is not a readable file of PEM certificates ({error}); "
                "set EGRESS_CA_FILE to one, or unset it."
            ) from error
    return context


class _Connection(ssl.SSLObject):
    """A connection that gives what was sent well, although what follows it is broken.

    Event loops read until nothing is left, and drop all of it where that fails: a status line with
    a broken record, or an alert, behind it. Here the connection ends in front of what is broken.
    """

    _given = False  # bytes, since more of them were waited for

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002, ANN401 - as ssl.SSLObject has it
        """Return decrypted bytes; none at the end, or where what follows others is broken."""
        try:
            read = super().read(len, buffer)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._given = False
            raise
        except ssl.SSLError:
            if not self._given:
                raise
            return b""
        self._given = True
        return read


class TlsSessions:
    """The context of all connections, and for each origin a session that the next one can resume.

    A session is taken from a connection whose certificate was verified, never from a resumed one,
    and serves for an hour: so a certificate that expired or was revoked counts no longer than that.
    Servers that take each ticket once only are talked to with every other handshake whole.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._sessions: OrderedDict[Origin, _Verified] = OrderedDict()  # least recently used first

    def context_for(self, origin: Origin, now: float) -> ssl.SSLContext:
        """Return what to connect to an origin with; it resumes the origin's session, if any."""
        found = self._sessions.get(origin)
        if found is None:
            return self._context
        if now - found.at > _RESUMED_FOR:
            del self._sessions[origin]
            return self._context
        self._sessions.move_to_end(origin)
        # Event loops ask a context for nothing but `wrap_bio`, and don't know of sessions.
        return cast("ssl.SSLContext", _Resuming(self._context, found.session))

    def keep(self, origin: Origin, connection: ssl.SSLObject, since: float, now: float) -> None:
        """Keep a connection's session, once a response has come: tickets come with it or before.

        `since`: when the connection was opened. What is kept from a later one stays.
        """
        found = self._sessions.get(origin)
        if connection.session_reused or (found is not None and found.at >= since):
            return
        session = connection.session  # a copy: 170 µs, so once for many connections
        if session is not None and session.has_ticket:
            self._sessions[origin] = _Verified(session, now)
            self._sessions.move_to_end(origin)
            if len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def forget(self, origin: Origin) -> None:
        """Begin anew with an origin."""
        self._sessions.pop(origin, None)


@dataclass(frozen=True, slots=True)
class _Verified:
    """A session, and when its certificate was verified, by the loop's clock."""

    session: ssl.SSLSession
    at: float


class _Resuming:
    """A context as event loops use one, whose connections resume a session."""

    __slots__ = ("_context", "_session")

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession) -> None:
        self._context = context
        self._session = session

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - as ssl.SSLContext has it
        server_hostname: str | None = None,
    ) -> ssl.SSLObject:
        """Begin TLS on a connection."""
        return self._context.wrap_bio(
            incoming, outgoing, server_side, server_hostname, self._session
        )
