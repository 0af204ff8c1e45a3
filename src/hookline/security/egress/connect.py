"""Opens a connection to one of the vetted addresses, and never to a name.

Through an operator's own proxy it is a tunnel (CONNECT) to such an address: names are looked up and
vetted here, the proxy is told an address, and TLS is spoken with the target itself. So the guard
stays whole behind it, and a proxy that only takes names can't be used.
"""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Self
from urllib.parse import unquote, urlsplit

from hookline.errors import ConfigurationError
from hookline.security.egress.addresses import Address
from hookline.security.egress.connection import Connection
from hookline.security.egress.errors import ConnectionLost, NotReachable, TlsFailed, tls_reason
from hookline.security.egress.tls import TlsSessions
from hookline.security.egress.urls import Origin

_STAGGER = 0.25  # seconds for an address before the next one is tried as well (RFC 8305, 5)
_ALL_TRIED = 2.5  # seconds after which the last address's turn has come: half the usual deadline
_AT_ONCE = 4  # attempts under way; the oldest is given up for the next: a name's list may be long
_OUT_OF_THE_WAY = 3600.0  # seconds; asyncio's own bound on TLS, since the caller has a deadline
_GOODBYE = 1.0  # seconds that a target gets to agree on the end of TLS
_MAX_ANSWER = 8192  # bytes of the proxy's answer to CONNECT
_OPENED = re.compile(rb"HTTP/1\.[01] 2[0-9][0-9][ \r]")
_DEFAULT_PORT = 3128


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is; `authorization` is the value of Proxy-Authorization, if it wants one."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `http://[user:password@]host[:port]`; raise ConfigurationError otherwise."""
        problem = (
            "EGRESS_PROXY must look like http://proxy.example.com:3128; https:// is not spoken."
        )
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORT
        except ValueError as error:
            raise ConfigurationError(problem) from error
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise ConfigurationError(problem)
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {b64encode(pair.encode()).decode('ascii')}"
        return cls(parts.hostname, port, authorization)

    async def tunnel(self, address: Address, port: int) -> asyncio.Transport:
        """Return a transport whose other end is the address; raise NotReachable or OSError."""
        loop = asyncio.get_running_loop()
        transport, answer = await loop.create_connection(_Tunnel, self.host, self.port)
        try:
            target = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"  # noqa: PLR2004 — IPv6
            lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
            if self.authorization is not None:
                lines.append(f"Proxy-Authorization: {self.authorization}")
            transport.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii"))
            await answer.opened
        except BaseException:
            transport.abort()
            raise
        return transport


class Connector:
    """Connects, agrees on TLS for the origin's name, and says what went wrong in our words.

    TLS resumes an earlier session of the origin, but not through a proxy.

    `keep` and `read` bound each response's body; see Connection.
    """

    def __init__(self, tls: ssl.SSLContext, proxy: Proxy | None, *, keep: int, read: int) -> None:
        self._tls = tls
        self._sessions = TlsSessions(tls)
        self._proxy = proxy
        self._keep = keep
        self._read = read

    async def connect(self, origin: Origin, addresses: Sequence[Address]) -> Connection:
        """Return a connection to the first of the addresses that can be used.

        All are tried, the families in turn, each a moment after the one before it or at once when
        that one fails. Raises NotReachable, TlsFailed or ConnectionLost: the first failure, that of
        an address that something listens at before the others'.
        """
        if len(addresses) == 1:
            return await self._open(origin, addresses[0])
        left = interleaved(addresses)
        stagger = min(_STAGGER, _ALL_TRIED / len(left))
        attempts: list[asyncio.Task[Connection]] = []
        failures: list[BaseException] = []
        try:
            while left or attempts:
                if left:
                    if len(attempts) == _AT_ONCE:
                        _give_up(attempts.pop(0))
                    opening = self._open(origin, left.pop(0))
                    attempts.append(asyncio.create_task(opening, name="connect"))
                wait = stagger if left else None
                await asyncio.wait(attempts, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                for attempt in [each for each in attempts if each.done()]:
                    attempts.remove(attempt)
                    if (failure := attempt.exception()) is None:
                        return attempt.result()
                    failures.append(failure)
        finally:
            for attempt in attempts:
                _give_up(attempt)
        raise min(failures, key=lambda failure: isinstance(failure, NotReachable))

    def keep_session(self, origin: Origin, connection: Connection) -> None:
        """Have later connections resume this one's TLS, once a response came over it."""
        if connection.tls is not None and self._proxy is None:
            now = asyncio.get_running_loop().time()
            self._sessions.keep(origin, connection.tls, connection.opened_at, now)

    async def _open(self, origin: Origin, address: Address) -> Connection:
        with _named_errors():
            if self._proxy is not None:
                return await self._open_through(self._proxy, origin, address)
            try:
                return await self._open_directly(origin, address)
            except OSError:  # of TLS as well: some servers end a handshake that they can't resume
                self._sessions.forget(origin)
                raise

    async def _open_directly(self, origin: Origin, address: Address) -> Connection:
        loop = asyncio.get_running_loop()
        secure = origin.scheme == "https"
        _, connection = await loop.create_connection(
            self._new,
            str(address),
            origin.port,
            ssl=self._sessions.context_for(origin, loop.time()) if secure else None,
            server_hostname=origin.host if secure else None,
            ssl_handshake_timeout=_OUT_OF_THE_WAY if secure else None,
            ssl_shutdown_timeout=_GOODBYE if secure else None,
        )
        return connection

    async def _open_through(self, proxy: Proxy, origin: Origin, address: Address) -> Connection:
        tunnel = await proxy.tunnel(address, origin.port)
        connection = self._new()
        if origin.scheme != "https":
            tunnel.set_protocol(connection)
            connection.connection_made(tunnel)
            return connection
        try:
            secured = await asyncio.get_running_loop().start_tls(
                tunnel,
                connection,
                self._tls,
                server_hostname=origin.host,
                ssl_handshake_timeout=_OUT_OF_THE_WAY,
                ssl_shutdown_timeout=_GOODBYE,
            )
        except BaseException:
            tunnel.abort()
            raise
        if secured is None:
            raise ConnectionLost("the tunnel was closed", silent=False)
        connection.connection_made(secured)
        return connection

    def _new(self) -> Connection:
        return Connection(keep=self._keep, read=self._read)


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses with their families in turn (RFC 8305, 4), each in its own order."""
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    pairs = zip_longest(first, other)
    return [address for pair in pairs for address in pair if address is not None]


def _give_up(attempt: asyncio.Task[Connection]) -> None:
    """Cancel an attempt; close the connection that it may have come to meanwhile."""
    attempt.cancel()
    attempt.add_done_callback(_close)


def _close(attempt: asyncio.Task[Connection]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().abort()


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turn what sockets and TLS raise into our errors."""
    try:
        yield
    except (ssl.SSLError, ssl.CertificateError) as error:  # an OSError too, so it comes first
        raise TlsFailed(str(error), tls_reason(error)) from error
    except ConnectionRefusedError as error:
        raise NotReachable(str(error)) from error
    except ConnectionError as error:  # reset while TLS was being agreed on
        raise ConnectionLost(str(error), silent=False) from error
    except OSError as error:
        raise NotReachable(str(error)) from error


class _Tunnel(asyncio.Protocol):
    """Waits for the proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """Collect the head of the answer; nothing may follow it before we have spoken."""
        self._seen += data
        if self.opened.done():
            return
        if self._seen.endswith(b"\r\n\r\n") and _OPENED.match(self._seen):
            self.opened.set_result(None)
        elif len(self._seen) > _MAX_ANSWER or b"\r\n\r\n" in self._seen:
            self.opened.set_exception(NotReachable(f"the proxy answered {self._seen[:64]!r}"))

    def connection_lost(self, error: Exception | None) -> None:
        """End the wait."""
        if not self.opened.done():
            self.opened.set_exception(NotReachable(f"the proxy closed the connection: {error}"))
