"""One HTTP/1.1 connection: one request at a time goes out, one bounded answer comes in.

Everything an answer can do is bounded here: the size of its head, the number of its headers and of
interim answers, and the bytes read of its body. Nothing is ever decompressed. Once the status line
and headers are complete, whatever follows can only end the answer, not undo it.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import cast

import httptools

from hookline.security.egress.failures import ConnectionLost, NotHttp, TlsFailed

MAX_HEAD = 65_536  # bytes of an answer's status lines and headers, interim answers included
MAX_HEADERS = 128
MAX_INTERIM = 16  # answers like 100 and 103 before the real one
_SLICE = 16_384  # bytes given to the parser at a time while the head is not complete
_LOWEST = 100
_FINAL = 200  # the lowest status that is not interim
_VERSIONS = ("1.1", "1.0")
_SWITCHING = 101  # never asked for, so final too


@dataclass(slots=True)
class Answer:
    """An answer as far as it has come; `raw` holds at most the bytes that are kept of a body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    raw: bytearray = field(default_factory=bytearray)
    complete: bool = False  # nothing more of the body will come, or will be read


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
        self._parser: httptools.HttpResponseParser | None = None
        self._reusable = False
        self.opened_at = self._loop.time()
        self.idle_since = self.opened_at
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._answer: Answer | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._heard = 0  # bytes of the answer so far
        self._head = 0  # those among them that came before the body, to a slice
        self._interim = 0

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """Send a request and wait for the head of its answer.

        Raises ConnectionLost, NotHttp or TlsFailed. Whoever stops waiting must `abort`.
        """
        if not self.usable:
            raise ConnectionLost("the connection was closed while idle", silent=True)
        self._reset()
        self._reusable = False
        self._parser = httptools.HttpResponseParser(self)
        transport = cast("asyncio.Transport", self._transport)
        if len(body) < _SLICE:
            transport.write(head + body)  # one segment, one system call
        else:
            transport.write(head)
            transport.write(body)
        while self._answer is None:
            await self._progress()
        return self._answer

    async def finish(self, answer: Answer) -> None:
        """Wait for the end of the answer; what cuts it short just ends it."""
        while not answer.complete:
            await self._progress()

    @property
    def usable(self) -> bool:
        """Whether another request can be sent over it."""
        return self._transport is not None and self._parser is None

    def release(self) -> bool:
        """Be done with the answer; tell whether the connection can serve again."""
        transport = self._transport
        if not self._reusable or transport is None or transport.get_write_buffer_size():
            self.abort()
            return False
        self._parser = None
        self.idle_since = self._loop.time()
        return True

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: asyncio has connected, and TLS stands where it was asked for."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer; bytes that nobody asked for end the connection."""
        if self._parser is None or (self._answer is not None and self._answer.complete):
            self._reusable = False
            self.abort()  # or they would be taken for the next answer
            return
        try:
            self._feed(self._parser, data)
        except httptools.HttpParserUpgrade:
            self._reusable = False
            self._end()
        except (httptools.HttpParserError, NotHttp) as error:
            self._reusable = False
            self._fail(error if isinstance(error, NotHttp) else NotHttp(str(error)))

    def connection_lost(self, error: Exception | None) -> None:
        """End whatever is under way."""
        self._transport = None
        self._parser = None  # it holds us, as we hold it
        self._reusable = False
        if isinstance(error, ssl.SSLError) and not self._heard:
            self._fail(TlsFailed(str(error)))
        else:
            self._fail(ConnectionLost(str(error or "closed"), silent=not self._heard))

    def on_message_begin(self) -> None:
        """Begin an interim answer, or the real one."""
        if self._answer is None:
            self._headers = []
        else:  # a second answer, to a question not asked
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; trailers, which come after the answer's head, are dropped."""
        if self._answer is None:
            self._headers.append((name, value))
            if len(self._headers) > MAX_HEADERS:
                raise NotHttp(f"more than {MAX_HEADERS} headers")

    def on_headers_complete(self) -> None:
        """Turn a head into the answer, unless it is an interim one."""
        parser = cast("httptools.HttpResponseParser", self._parser)
        if parser.get_http_version() not in _VERSIONS:
            raise NotHttp("a version of HTTP that was not asked for")
        status = parser.get_status_code()
        if status < _LOWEST:
            raise NotHttp(f"{status} is no status")
        if self._answer is not None or (status < _FINAL and status != _SWITCHING):
            return
        self._answer = Answer(status, self._headers)
        self._head = self._heard
        self._wake()

    def on_body(self, body: bytes) -> None:
        """Keep what is still to be kept."""
        answer = self._answer
        if answer is not None and not answer.complete and len(answer.raw) < self._keep:
            answer.raw += body[: self._keep - len(answer.raw)]

    def on_message_complete(self) -> None:
        """End the answer, and see whether the connection can serve again."""
        if self._answer is None:
            self._interim += 1
            return
        if not self._answer.complete:
            parser = cast("httptools.HttpResponseParser", self._parser)
            self._reusable = parser.should_keep_alive()
            self._end()

    def _feed(self, parser: httptools.HttpResponseParser, data: bytes) -> None:
        start = 0
        while self._answer is None and start < len(data):
            part = data[start : start + _SLICE] if len(data) > _SLICE else data
            self._heard += len(part)
            parser.feed_data(part)
            start += len(part)
            self._check_head()
        if start < len(data):
            self._heard += len(data) - start
            parser.feed_data(data[start:] if start else data)
        if self._answer is not None and not self._answer.complete:
            self._wake()
            if self._heard - self._head > self._read:
                self._end()
                self.abort()

    def _check_head(self) -> None:
        if self._answer is None and self._heard > MAX_HEAD:
            raise NotHttp(f"more than {MAX_HEAD} bytes before the end of the headers")
        if self._interim > MAX_INTERIM:
            raise NotHttp(f"more than {MAX_INTERIM} interim answers")

    async def _progress(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end(self) -> None:
        if self._answer is not None:
            self._answer.complete = True
            self._wake()

    def _fail(self, error: Exception) -> None:
        """End the answer where there is one; else the request has failed."""
        if self._answer is not None:
            self._end()
        elif self._failure is None:
            self._failure = error
            self._wake()
