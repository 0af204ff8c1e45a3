"""A receiver that speaks TLS by hand, so that what it sends can be spoilt behind any record."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

_T = TypeVar("_T")
_READ = 65_536  # bytes


class Records:
    """The server's side of one connection."""

    def __init__(
        self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._reader, self._writer = reader, writer

    async def take_request(self) -> bytes:
        """Agree on TLS and return the client's first bytes."""
        await self._do(self._tls.do_handshake)
        return await self._do(lambda: self._tls.read(_READ))

    def record(self, data: bytes) -> bytes:
        """Return the record that these bytes are sent in."""
        self._tls.write(data)
        return self._outgoing.read()

    def spoilt(self, data: bytes) -> bytes:
        """Return such a record of which the last bit is wrong."""
        record = self.record(data)
        return record[:-1] + bytes([record[-1] ^ 1])

    async def _do(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._writer.write(self._outgoing.read())
                self._incoming.write(await self._reader.read(_READ))
            finally:
                self._writer.write(self._outgoing.read())


Answer = Callable[[Records], bytes]


@dataclass(slots=True)
class BrokenTls:
    """A receiver that is told what to send; `requests` are the first bytes of each."""

    port: int
    answer: Answer
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def breaking_tls(context: ssl.SSLContext, answer: Answer) -> AsyncIterator[BrokenTls]:
    """Run such a receiver: what it sends goes in one segment, and then it closes."""
    receiver = BrokenTls(0, answer)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ssl.SSLError, ConnectionError):
            records = Records(context, reader, writer)
            receiver.requests.append(await records.take_request())
            writer.write(receiver.answer(records))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        receiver.port = server.sockets[0].getsockname()[1]
        yield receiver
