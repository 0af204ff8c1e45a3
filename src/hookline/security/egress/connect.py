"""Opens connections to vetted addresses, never to names, and sends requests on them."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from random import uniform
from time import thread_time
from typing import cast

from hookline.domain.deliveries import ResponseDefect
from hookline.security.egress.addresses import Address
from hookline.security.egress.errors import (
    ConnectionLost,
    NotHttp,
    NotReachable,
    TlsFailed,
    tls_reason,
)
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.responses import Received, ResponseParser, Spent
from hookline.security.egress.tls import TlsSessions
from hookline.security.egress.urls import Origin

_STAGGER = 0.25  # seconds for an address before the next one is tried as well (RFC 8305, 5)
_ALL_TRIED = 2.5  # seconds after which the last address's turn has come: half the usual deadline
_AT_ONCE = 4  # attempts under way; the oldest is given up for the next: a name's list may be long
_OUT_OF_THE_WAY = 3600.0  # seconds; asyncio's own bound on TLS, since the caller has a deadline
_CLOSE_WITHIN = 1.0  # seconds that a target gets to agree on the end of TLS
_YOUNGEST = 0.75  # of the age at which connections are closed
_ONE_WRITE = 16_384  # bytes of a body up to which it is copied behind its head
_READS_AT_ONCE = 8  # of a response; beyond, a pause after each, so that many come together
_LEAST_PAUSE = 0.001  # seconds
_PART_OF_TIME = 4  # a pause is one in so many of the time since the first: 40 reads in 5 s
_READ = 2e-5  # seconds of CPU for each read, besides parsing: the first two are any response's
_USUAL_READS = 2
_USUAL_PARSING = 1e-4  # seconds of CPU for a read


class Connection(asyncio.Protocol):
    """A connection to one vetted address; see `ask` for its use.

    `keep`: bytes of a body that are kept. `read`: bytes after which the rest is not waited for and
    the connection is given up; between the two it is read only so that the connection can serve
    again.
    """

    def __init__(self, *, keep: int, read: int) -> None:
        self._keep = keep
        self._read = read
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._parser: ResponseParser | None = None  # while a request is under way
        self._waiter: asyncio.Future[None] | None = None
        self.tls: ssl.SSLObject | None = None
        self._reads = 0  # of the response
        self._spent = Spent()
        self._heard_at = 0.0  # when the first of them came
        self._pause: asyncio.TimerHandle | None = None  # while nothing is read
        self.opened_at = self._loop.time()
        self.idle_since = self.opened_at
        # What was opened together is not closed, and opened anew, together.
        self.share_of_age = uniform(_YOUNGEST, 1.0)  # noqa: S311 - no secret

    async def ask(self, head: bytes, body: bytes, response: Received, spent: Spent) -> None:
        """Send a request; return once its response has ended, which fills `response` as it comes.

        A response that comes in many small parts is read more and more seldom, so that it takes no
        more of the event loop than one that comes whole; what it takes is added to `spent`.

        Raises ConnectionLost, NotHttp or TlsFailed, but never once the status is known. Whoever
        stops waiting must `abort`.
        """
        if not self.usable:
            raise ConnectionLost("the connection was closed while idle", silent=True)
        self._reads, self._spent = 0, spent
        self._parser = ResponseParser(response, keep=self._keep, read=self._read)
        self._waiter = self._loop.create_future()
        transport = cast("asyncio.Transport", self._transport)
        if len(body) < _ONE_WRITE:
            transport.write(head + body)  # one segment, one system call
        else:
            transport.write(head)
            transport.write(body)
        try:
            await self._waiter
        finally:
            self._waiter = None  # an exception in it would keep itself alive, and all it speaks of

    @property
    def resumed(self) -> bool:
        """Whether its TLS went on with an earlier session."""
        return self.tls is not None and bool(self.tls.session_reused)

    @property
    def usable(self) -> bool:
        """Whether another request can be sent over it."""
        return self._transport is not None and self._parser is None

    def release(self) -> bool:
        """Be done with the response; tell whether the connection can serve again."""
        transport, parser = self._transport, self._parser
        if (
            transport is None
            or parser is None
            or not parser.reusable
            or transport.get_write_buffer_size()
        ):
            self.abort()
            return False
        self._parser = None
        self._read_on()  # and learn when the other side closes
        self.idle_since = self._loop.time()
        return True

    def abort(self) -> None:
        """Close at once; what has come of a response under way is all of it."""
        if self._parser is not None:
            self._parser.cut(ResponseDefect.UNFINISHED)
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._read_on()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: asyncio has connected, and TLS stands where it was asked for."""
        self._transport = cast("asyncio.Transport", transport)
        self.tls = transport.get_extra_info("ssl_object")

    def data_received(self, data: bytes) -> None:
        """Take bytes of the response; bytes that nobody asked for end the connection."""
        parser = self._parser
        if parser is None or parser.done:
            self.abort()  # or they would be taken for the next response
            return
        if not self._reads:
            self._heard_at = self._loop.time()
        self._reads += 1
        began = thread_time()
        try:
            if parser.feed(data):
                self._end()
            elif self._reads >= _READS_AT_ONCE:
                self._read_later()
        except NotHttp as error:
            self._parser = None
            self._end(error)
            self.abort()
        took = thread_time() - began
        if self._reads > _USUAL_READS or took > _USUAL_PARSING:
            self._spent.seconds += took + _READ

    def _read_later(self) -> None:
        """Read nothing for a while, in which more of the response comes."""
        if self._pause is None and self._transport is not None:
            if self.tls is not None:  # or what is encrypted would be read on, and kept
                self._transport.set_read_buffer_limits(1)  # type: ignore[attr-defined]  # TLS has them
            self._transport.pause_reading()
            wait = max(_LEAST_PAUSE, (self._loop.time() - self._heard_at) / _PART_OF_TIME)
            self._pause = self._loop.call_later(wait, self._read_on)

    def _read_on(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
            if self._transport is not None:
                self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """End whatever is under way."""
        self._transport = None
        self._read_on()
        parser, self._parser = self._parser, None
        if parser is None or self._waiter is None or self._waiter.done():
            return
        try:
            if error is None:
                parser.close()
            else:
                parser.cut(ResponseDefect.TRUNCATED)
        except NotHttp as failure:
            self._end(failure)
            return
        if parser.done:
            self._end()
        elif isinstance(error, ssl.SSLError) and not self._reads:
            self._end(TlsFailed(str(error), tls_reason(error)))
        else:
            self._end(ConnectionLost(str(error or "closed"), silent=not self._reads))

    def _end(self, error: Exception | None = None) -> None:
        """Have `ask` return or raise."""
        if self._waiter is None or self._waiter.done():
            return
        if error is None:
            self._waiter.set_result(None)
        else:
            self._waiter.set_exception(error)


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
                    attempts.append(asyncio.create_task(opening, name="connect"))  # noqa: TID251 - awaited below
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
            ssl_shutdown_timeout=_CLOSE_WITHIN if secure else None,
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
                ssl_shutdown_timeout=_CLOSE_WITHIN,
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
