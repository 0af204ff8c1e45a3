"""One caller's connection: uvicorn's protocol, with the bounds that it leaves to a proxy in front.

A head must come soon and be small, what follows an early answer must end, an answer must be read,
and there are only so many connections. The time for a body is the routes' to bound.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_SECONDS = 10.0  # from the connection, or a request's first byte, to the end of its head
_MOST_HEAD_BYTES = 64 * 1024  # what servers take is 8 to 64 KiB
_REST_SECONDS = 60.0  # for the rest of a body that was answered before its end
_UNREAD_SECONDS = 60.0  # that an answer may wait for its reader
_MOST_FRAMING = 16  # bytes of chunk sizes and ends for each byte of a body: more than any sender's
_LOOKS_EVERY = 2.0  # seconds

_SLOW: Final = (408, b"Request Timeout")
_LARGE: Final = (431, b"Request Header Fields Too Large")


class _Nowhere(list[tuple[bytes, bytes]]):
    """Takes what comes behind a body as headers, and keeps none of it."""

    def append(self, _header: tuple[bytes, bytes], /) -> None:
        """Let it go."""


_NOWHERE: Final = _Nowhere()


class Caller(HttpToolsProtocol):
    """A connection that ends by itself when its other end is slow, endless or one too many."""

    def __init__(self, *arguments: Any, most: int, **options: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*arguments, **options)
        self._most = most
        self._ends: float | None = None  # when what is awaited must have come
        self._must_be_read_by: float | None = None
        self._in_head = self._in_message = False
        self._answered = True
        self._received = self._of_body = 0  # bytes of this head, or of this body
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Wait for the first head, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.abort()
            return
        self._ends = self.loop.time() + _HEAD_SECONDS
        self._looking = self.loop.call_later(_LOOKS_EVERY, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on; count those that nothing else counts."""
        super().data_received(data)
        if self._in_head:
            self._received += len(data)
            if self._received > _MOST_HEAD_BYTES:
                self._refuse(*_LARGE)
        elif self._in_message:
            self._received += len(data)
            if self._received > _MOST_HEAD_BYTES + _MOST_FRAMING * self._of_body:
                self.transport.abort()
        elif self._ends is None and self._answered:  # a line end, which begins no request
            self._ends = self.loop.time() + _HEAD_SECONDS

    def on_message_begin(self) -> None:
        """Wait for the rest of the head."""
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._received = self._of_body = 0
        if self._ends is None:
            self._ends = self.loop.time() + _HEAD_SECONDS

    def on_headers_complete(self) -> None:
        """Hand the request over; what comes as a trailer goes nowhere."""
        super().on_headers_complete()
        self._in_head = self._answered = False
        self._received = 0
        self._ends = None
        self.headers = _NOWHERE

    def on_body(self, body: bytes) -> None:
        """Count what belongs to the body."""
        self._of_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next head, where the answer went ahead of the body's end."""
        self._in_message = False
        super().on_message_complete()
        self._ends = self.loop.time() + _HEAD_SECONDS if self._answered else None

    def on_response_complete(self) -> None:
        """Give the rest of a body that was answered already a time to end."""
        super().on_response_complete()
        self._answered = self.cycle.response_complete  # or the next one was waiting already
        if self._in_message and not self._in_head:
            self._ends = self.loop.time() + _REST_SECONDS

    def pause_writing(self) -> None:
        """Give the answer's reader a time to read."""
        super().pause_writing()
        self._must_be_read_by = self.loop.time() + _UNREAD_SECONDS

    def resume_writing(self) -> None:
        """Note that the reader reads."""
        super().resume_writing()
        self._must_be_read_by = None

    def _look(self) -> None:
        now = self.loop.time()
        if self.transport.is_closing():
            self.transport.abort()  # what is left to write was not read in all this time
        elif self._must_be_read_by is not None and self._must_be_read_by < now:
            self.transport.abort()
        elif self._ends is not None and self._ends < now and self._answered:
            self._refuse(*_SLOW)
        self._looking = self.loop.call_later(_LOOKS_EVERY, self._look)

    def _refuse(self, status: int, phrase: bytes) -> None:
        """Say why, where a request was begun, and end the connection."""
        if self._in_head and self._answered:
            head = b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(head % (status, phrase))
        self.transport.close()


def callers(most: int) -> Callable[..., Caller]:
    """Return what makes a protocol for each of at most `most` connections at a time."""
    return partial(Caller, most=most)
