"""Requests as bytes, sent to a running service as they are, and the answers that come back."""

import asyncio
import json
from dataclasses import dataclass

from factories import Json

SOON = 20.0  # seconds by which a server has answered and ended the connection, on a busy machine


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a connection, `100 Continue` included."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json:
        document: Json = json.loads(self.body)
        return document


class Wire:
    """Connections to a service; `head` begins a request with a key of it."""

    def __init__(self, url: str, key: str) -> None:
        self.port = int(url.rpartition(":")[2])
        self._key = key.encode()

    def head(self, line: bytes, *headers: bytes, last: bool = True) -> bytes:
        """Return a request's line and headers, without the line that ends them."""
        lines = [line, *headers, b"host: hookline", b"authorization: Bearer " + self._key]
        lines += [b"content-type: application/json"] + [b"connection: close"] * last
        return b"".join(each + b"\r\n" for each in lines)

    async def ask(self, *parts: bytes, ends: bool = False) -> list[Answer]:
        """Send these parts, each in a segment of its own; return all answers until the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            if ends:
                writer.write_eof()
            async with asyncio.timeout(SOON):
                return _answers(await reader.read())
        finally:
            writer.transport.abort()


def with_length(body: bytes) -> bytes:
    """Return the last header and the body."""
    return b"content-length: %d\r\n\r\n%b" % (len(body), body)


def in_chunks(*chunks: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    """Return the last header and the body in chunks."""
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(each), extension, each) for each in chunks)
    return b"transfer-encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (framed, trailers)


def _answers(received: bytes) -> list[Answer]:
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        assert line.startswith("HTTP/1.1 "), head
        headers = dict(each.lower().split(": ", 1) for each in lines)
        length = int(headers.get("content-length", 0))
        found.append(Answer(int(line.split()[1]), headers, received[:length]))
        received = received[length:]
    return found
