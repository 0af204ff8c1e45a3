"""A receiver of webhooks that answers each request at once, for benchmarks that look at each."""

import asyncio
from collections.abc import Callable
from typing import Any

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"

Note = Callable[[bytes, bytes], None]
"""Is told the head and the body of each request."""


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end]
            length = int(between(head.lower(), b"content-length: ", b"\r\n"))
            if len(self._rest) < end + 4 + length:
                return
            body = self._rest[end + 4 : end + 4 + length]
            self._rest = self._rest[end + 4 + length :]
            self._note(head, body)
            self._transport.write(_ANSWER)


def between(text: bytes, start: bytes, end: bytes) -> bytes:
    """Return what stands between the first of `start` and the next of `end`."""
    return text.partition(start)[2].partition(end)[0]
