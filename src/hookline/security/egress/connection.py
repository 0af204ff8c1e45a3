"""One HTTP/1.1 connection: one request at a time goes out, one bounded response comes in."""

import asyncio
import ssl
from random import uniform
from typing import cast

from hookline.domain.deliveries import ResponseDefect
from hookline.security.egress.errors import ConnectionLost, NotHttp, TlsFailed, tls_reason
from hookline.security.egress.responses import Received, ResponseParser

_YOUNGEST = 0.75  # of the age at which connections are closed
_ONE_WRITE = 16_384  # bytes of a body up to which it is copied behind its head


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
        self._heard = False  # at least a byte of the response
        self.opened_at = self._loop.time()
        self.idle_since = self.opened_at
        # What was opened together is not closed, and opened anew, together.
        self.share_of_age = uniform(_YOUNGEST, 1.0)  # noqa: S311 - no secret

    async def ask(self, head: bytes, body: bytes, response: Received) -> None:
        """Send a request; return once its response has ended, which fills `response` as it comes.

        Raises ConnectionLost, NotHttp or TlsFailed, but never once the status is known. Whoever
        stops waiting must `abort`.
        """
        if not self.usable:
            raise ConnectionLost("the connection was closed while idle", silent=True)
        self._heard = False
        self._parser = ResponseParser(response, keep=self._keep, read=self._read)
        self._waiter = self._loop.create_future()
        transport = cast("asyncio.Transport", self._transport)
        if len(body) < _ONE_WRITE:
            transport.write(head + body)  # one segment, one system call
        else:
            transport.write(head)
            transport.write(body)
        await self._waiter

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
        self.idle_since = self._loop.time()
        return True

    def abort(self) -> None:
        """Close at once; what has come of a response under way is all of it."""
        if self._parser is not None:
            self._parser.cut(ResponseDefect.UNFINISHED)
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

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
        self._heard = True
        try:
            if parser.feed(data):
                self._end()
        except NotHttp as error:
            self._parser = None
            self._end(error)
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """End whatever is under way."""
        self._transport = None
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
        elif isinstance(error, ssl.SSLError) and not self._heard:
            self._end(TlsFailed(str(error), tls_reason(error)))
        else:
            self._end(ConnectionLost(str(error or "closed"), silent=not self._heard))

    def _end(self, error: Exception | None = None) -> None:
        """Have `ask` return or raise."""
        if self._waiter is None or self._waiter.done():
            return
        if error is None:
            self._waiter.set_result(None)
        else:
            self._waiter.set_exception(error)
