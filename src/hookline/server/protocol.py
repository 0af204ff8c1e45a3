"""One connection of the HTTP server: uvicorn's protocol, with the bounds that it leaves to a proxy.

A head must come soon and be small, a body must end, an answer must be read. An answer that goes out
before its request's body has come ends the connection: it is read on for a while, so that a client
that is still sending sees the answer. Offers to upgrade the protocol are ignored (RFC 9110 7.8).
"""

import asyncio
from math import inf
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hookline.api.middleware import EXTENSION
from hookline.api.problems import transport_problem
from hookline.server.connections import Connections
from hookline.server.malformed import check_head, lines_of_head, refusal_of

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

HEAD_SECONDS = 10.0  # from the connection, or a request's first byte, to the end of its head
BODY_SECONDS = (
    60.0  # from there to the end of its body; a slow sender must not hold memory for ever
)
UNREAD_SECONDS = 60.0  # that an answer may wait for its reader
LINGER_SECONDS = 5.0  # that a connection is read on after an answer that ends it, or its last bytes
LONGEST_LINGER = 30.0  # seconds of that in all
_LINGER_BYTES = 64 * 1024 * 1024  # read meanwhile, and dropped
_MOST_HEAD_BYTES = 64 * 1024  # what servers take is 8 to 64 KiB
_MOST_HEADERS: Final = 128  # each of a few bytes takes some hundred in memory
_MOST_PIPELINED: Final = 16  # requests that are made of bytes before the one under way is answered
_END_OF_HEAD: Final = b"\r\n\r\n"
_MOST_FRAMING = 16  # bytes of chunk sizes and ends for each byte of a body: more than any sender's
_NOT_PASSED_ON: Final = frozenset({b"upgrade", b"http2-settings", b"connection"})


class _Dropped(list[tuple[bytes, bytes]]):
    """Takes trailers as headers, and keeps none of them."""

    def append(self, _header: tuple[bytes, bytes], /) -> None:
        """Drop it."""


_DROPPED: Final = _Dropped()


class _Transport:
    """A connection's transport as uvicorn sees it: closing it first lets the client finish."""

    def __init__(self, transport: asyncio.Transport, owner: "Connection") -> None:
        self.write = transport.write
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self._transport = transport
        self._owner = ref(owner)

    def is_closing(self) -> bool:
        owner = self._owner()
        return owner is None or owner.lingers or self._transport.is_closing()

    def close(self) -> None:
        owner = self._owner()
        if owner is None:
            self._transport.close()
        else:
            owner.finish()


class _Flow(FlowControl):
    """Reads no further than a connection wants: not while requests wait for the one before them."""

    def __init__(self, transport: asyncio.Transport, owner: "Connection") -> None:
        super().__init__(transport)
        self._owner = ref(owner)

    def resume_reading(self) -> None:
        owner = self._owner()
        if owner is not None and (owner.lingers or not (owner.pipeline or owner.ahead)):
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """A connection that ends by itself when its other end is slow or endless."""

    def __init__(self, *arguments: Any, among: Connections, **options: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*arguments, **options)
        self.parser = self._new_parser()
        self.among = among
        self.tenant: str | None = None  # whose valid key was shown here last
        self.deadline = inf  # when what is awaited must have come
        self.idle_since = 0.0
        self.lingers = self._broken = False
        self._lingers_until = inf
        self._read_by = inf  # when the answer must have been read
        self._in_head = self._in_message = False
        self._may_go_on = True
        self._answer_lasts = False
        self._received = self._of_body = 0  # bytes of this head, or of this body
        self.ahead = b""  # what came behind as many requests as may wait
        self._socket: asyncio.Transport
        self._reference = ref(self)

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's types leave the None out
        return cycle is not None and not cycle.response_complete

    @property
    def ended(self) -> bool:
        """Whether nobody will read an answer."""
        return self._socket.is_closing()

    def authenticated(self, tenant: str) -> None:
        """Note that a request with a valid key of this tenant came in; see `api.middleware`."""
        if tenant != self.tenant:
            self.among.authenticated(self, tenant)

    def lasts(self) -> None:
        """Note that the answer has no end of its own; see `api.middleware`."""
        self._answer_lasts = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Wait for the first head, unless there is no room for the connection."""
        self._socket = transport
        wrapped: asyncio.Transport = _Transport(transport, self)  # type: ignore[assignment]  # all that is used
        super().connection_made(wrapped)
        self.flow = _Flow(wrapped, self)
        self.deadline = self.loop.time() + HEAD_SECONDS
        self.idle_since = self.loop.time()
        self.among.admit(self)

    @property
    def wants_body(self) -> bool:
        """Whether more of a body is read: the application asked for it, or nobody keeps it."""
        return self._of_body > 0 or self.lingers

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another connection."""
        self.among.left(self)
        super().connection_lost(exc)

    def abort(self) -> None:
        """End the connection at once."""
        self._socket.abort()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; what follows an answer that ends the connection is dropped."""
        size = len(data)
        if self.lingers or self._broken:
            self._drop(size)
            return
        if (self._in_head or not self._in_message) and lines_of_head(data) > _MOST_HEADERS:
            self._refuse(431)  # before anything is made of them
            return
        if data.count(_END_OF_HEAD) > _MOST_PIPELINED or self.pipeline or self.ahead:
            self._parse_some(self.ahead + data)
        else:
            self._parse(data)

    def _parse_some(self, data: bytes) -> None:
        """Parse one head after another until as many requests wait as may; keep the rest as bytes.

        A request takes a hundred times as much memory as its bytes.
        """
        at = 0
        while at < len(data) and not (self.lingers or self._broken):
            if len(self.pipeline) >= _MOST_PIPELINED:
                self.ahead = data[at:]
                self.flow.pause_reading()
                return
            end = data.find(_END_OF_HEAD, at)
            end = len(data) if end < 0 else end + len(_END_OF_HEAD)
            self._parse(data[at:end])
            at = end
        self.ahead = b""

    def _parse(self, data: bytes) -> None:
        size = len(data)
        while data:
            try:
                self.parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    self._refuse(405)
                    return
                data = self._without_upgrade(data[upgrade.args[0] :])
            except HttpParserError as error:
                self._refuse(*refusal_of(error, data))
                return
        self._received += size
        self._bound()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio lets it say so
        """Answer a client that has sent all that it will; else let the connection end."""
        if self.lingers or (self._in_message and not self._broken) or not self.busy:
            return False
        if self._answer_lasts:
            return False  # nobody is there to read it
        self._may_go_on = self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Wait for the rest of the head."""
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._received = self._of_body = 0
        self.deadline = self.loop.time() + HEAD_SECONDS

    def on_headers_complete(self) -> None:
        """Hand the request over; until its body has come, an answer ends the connection."""
        if self.parser.should_upgrade():
            return  # it comes again without the offer
        version = self.parser.get_http_version()
        check_head(version, self.url, self.headers, most=_MOST_HEADERS)
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110 10.1.1
        if not self.url.startswith(b"/"):
            self.url = _origin_form(self.url)
        super().on_headers_complete()
        self.scope["extensions"] = {EXTENSION: self._reference}  # type: ignore[dict-item]  # no ring
        self._in_head = False
        self._may_go_on = self.cycle.keep_alive
        self.cycle.keep_alive = False
        self._received = 0
        self.deadline = self.loop.time() + BODY_SECONDS
        self.headers = _DROPPED

    def on_body(self, body: bytes) -> None:
        """Count what belongs to the body."""
        self._of_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Bound the time no more: the application has all of the request."""
        if self.parser.should_upgrade():
            return
        self._in_message = False
        self.cycle.keep_alive = self._may_go_on
        self.deadline = inf
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self.ahead and not (self.lingers or self._broken):
            self._parse_some(self.ahead)
        self._unset_keepalive_if_required()  # `deadline` says it
        self.idle_since = self.loop.time()
        if not (self.busy or self._in_message or self.lingers):  # busy: with what was pipelined
            self.deadline = self.idle_since + self.timeout_keep_alive

    def shutdown(self) -> None:
        """End after the request that is under way."""
        self._may_go_on = False
        super().shutdown()

    def pause_writing(self) -> None:
        """Bound the time in which the client has to read some of the answer."""
        super().pause_writing()
        self._read_by = self.loop.time() + UNREAD_SECONDS

    def resume_writing(self) -> None:
        """Note that the reader reads."""
        super().resume_writing()
        self._read_by = inf

    def check(self, now: float) -> None:
        """End the connection where something should have come by now."""
        if self._read_by < now or self._socket.is_closing():
            self.abort()  # what is left to write was not read in all this time
        elif self.deadline < now:
            if self._in_message and not self.lingers:
                self._refuse(408)
            else:
                self._socket.close()

    def finish(self) -> None:
        """Close; where the client is still sending, read on for a while, so that it reads too."""
        if self._socket.is_closing() or self.lingers:
            return
        if not self._in_message:
            self._socket.close()
            return
        self.lingers = True
        self._received = 0
        answered: RequestResponseCycle | None = self.cycle  # uvicorn's types leave the None out
        if answered is not None:
            answered.body = bytearray()  # of what nobody will read
        self.among.lingers(self)
        self._lingers_until = self.loop.time() + LONGEST_LINGER
        self.deadline = self.loop.time() + LINGER_SECONDS
        self._socket.write_eof()
        self.flow.resume_reading()

    def drop_more(self) -> None:
        """Read on, now that it is this connection's turn."""
        if not self._socket.is_closing():
            self._socket.resume_reading()

    def _drop(self, size: int) -> None:
        """Discard what the client still sends after its answer, up to a bound."""
        self._received += size
        if self._received > _LINGER_BYTES:
            self.abort()
        elif self.lingers:
            self.deadline = min(self.loop.time() + LINGER_SECONDS, self._lingers_until)
            self._socket.pause_reading()
            self.among.drop_more_later(self)

    def _bound(self) -> None:
        """Refuse what has no end, and read on only when the application asks for more."""
        if self._in_head:
            if self._received > _MOST_HEAD_BYTES or len(self.headers) > _MOST_HEADERS:
                self._refuse(431 if self.headers else 414)
        elif self._in_message:
            if self._received > _MOST_HEAD_BYTES + _MOST_FRAMING * self._of_body:
                self.abort()
            elif self.cycle.body:
                self.flow.pause_reading()
        elif self.deadline is inf and not self.busy:  # a line end, which begins no request
            self.deadline = self.loop.time() + HEAD_SECONDS

    def _new_parser(self) -> HttpRequestParser:
        """Return a parser that answers what is pipelined, and lets sizes of chunks be padded."""
        parser = HttpRequestParser(self)
        parser.set_dangerous_leniencies(
            lenient_data_after_close=True, lenient_spaces_after_chunk_size=True
        )
        return parser

    def _without_upgrade(self, rest: bytes) -> bytes:
        """Return the head that was just read without its offer to upgrade, and what followed it."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        for name, value in self.headers:
            if name not in _NOT_PASSED_ON:
                lines.append(b"%b: %b" % (name, value))
            elif name == b"connection" and (kept := _without(value, b"upgrade")):
                lines.append(b"connection: %b" % kept)
        self.parser = self._new_parser()
        return b"\r\n".join((*lines, b"", rest))

    def _refuse(self, status: int, detail: str | None = None) -> None:
        """Say what was wrong, or else answer what came before it, and end the connection."""
        incomplete = self._in_message and not self._in_head
        self._in_message = self._broken = True  # whatever comes still is dropped
        self._received = 0
        if self.busy and not incomplete:
            self.cycle.keep_alive = False
            self.deadline = inf
            return
        if self.busy:
            self.cycle.disconnected = True  # its body will never come
            self.cycle.message_event.set()
            if self.cycle.response_started or self.pipeline:
                self.abort()
                return
        begun: HTTPScope | None = self.scope  # uvicorn's types leave the None out
        headers = begun["headers"] if begun else ()
        allowed = self.among.allows_origin
        origin = next((value for name, value in headers if name == b"origin"), b"")
        self._socket.write(transport_problem(status, detail, origin if allowed(origin) else b""))
        if begun and not self.busy:
            begun["headers"] = ()  # thousands may have come
            self.headers = _DROPPED
        self.finish()


def _without(value: bytes, token: bytes) -> bytes:
    tokens = (each.strip() for each in value.split(b","))
    return b", ".join(each for each in tokens if each.lower() != token)


def _origin_form(target: bytes) -> bytes:
    """Return the path and query of an absolute target; of `*`, a path that nothing is at."""
    if target == b"*":
        return b"/*"
    parsed = parse_url(target)
    path: bytes | None = parsed.path
    query: bytes | None = parsed.query
    return (path or b"/") + (b"" if query is None else b"?" + query)
