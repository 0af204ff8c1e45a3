"""Receivers that cost a sender as much as they can: what each answers to every request."""

import asyncio
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Final, cast

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_PAUSE: Final = 0.001  # seconds between two parts of an answer
_SLOW: Final = 200  # bytes, sent one by one
_INTERIM: Final = 90  # responses in front of the final one: nearly all that are read
_CHUNK: Final = b"x" * 65_536


def _closed() -> Iterator[bytes]:
    yield _OK + b"content-length: 0\r\nconnection: close\r\n\r\n"


def _interim() -> Iterator[bytes]:
    yield b"HTTP/1.1 102 Processing\r\n\r\n" * _INTERIM + _OK + b"content-length: 0\r\n\r\n"


def _dripped() -> Iterator[bytes]:
    head = _OK + b"content-length: %d\r\n\r\n" % _SLOW
    return (bytes([each]) for each in head + b"x" * _SLOW)


def _endless() -> Iterator[bytes]:
    return chain([b"HTTP/1.1 400 Bad Request\r\n\r\n"], repeat(_CHUNK))


ANSWERS: Final = {
    "closes each connection": _closed,
    "sends interim responses": _interim,
    "drips": _dripped,
    "never ends": _endless,
}


class HostileReceiver(asyncio.Protocol):
    """Answers each request with the same parts, one a millisecond."""

    def __init__(self, kind: str) -> None:
        self._parts = ANSWERS[kind]
        self._closes = kind == "closes each connection"
        self._transport: asyncio.WriteTransport | None = None
        self._answering: asyncio.Task[None] | None = None
        self._missing = 0  # bytes of the request's body
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's, by behaviour alone

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole; one comes at a time."""
        if not self._missing:
            self._head += data
            head, found, body = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            self._head, self._missing, data = b"", length, body
        self._missing -= len(data)
        if not self._missing:
            self._answering = asyncio.create_task(self._answer(), name="bench-hostile-answer")

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer no further."""
        del exc
        self._transport = None
        if self._answering is not None:
            self._answering.cancel()

    async def _answer(self) -> None:
        for part in self._parts():
            if self._transport is None:
                return
            self._transport.write(part)
            await asyncio.sleep(_PAUSE)
        if self._closes and self._transport is not None:
            self._transport.close()


async def serve(kind: str) -> asyncio.Server:
    """Open a port for receivers of one kind."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: HostileReceiver(kind), "127.0.0.1", 0, backlog=4096)
