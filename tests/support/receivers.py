"""A real HTTP(S) receiver on loopback, that answers as it is told, politely or not.

A `Behaviour` gets each request with the two ends of its connection, and does what it likes.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it came."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int  # counted from 1


@dataclass(slots=True)
class Exchange:
    """One request and the connection to answer it on."""

    request: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        """Send bytes, as fast as they are taken."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_closed(self) -> None:
        """Wait until the other side closes; read nothing of worth meanwhile."""
        while await self.reader.read(65_536):
            pass


Behaviour = Callable[[Exchange], Awaitable[None]]


def answering(*answers: bytes) -> Behaviour:
    """Give these answers one after the other, the last one for ever, and keep the connection."""
    left = list(answers)

    async def behave(exchange: Exchange) -> None:
        await exchange.say(left.pop(0) if len(left) > 1 else left[0])

    return behave


def answering_then_closing(answer: bytes) -> Behaviour:
    """Give this answer and end the connection."""

    async def behave(exchange: Exchange) -> None:
        await exchange.say(answer)
        exchange.writer.close()

    return behave


def status(code: int, *headers: str, body: bytes = b"") -> bytes:
    """Print an orderly answer."""
    lines = [f"HTTP/1.1 {code} Whatever", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass(slots=True)
class Receiver:
    """A server on 127.0.0.1; change `behaviour` at any time."""

    behaviour: Behaviour = field(default_factory=lambda: answering(OK))
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    port: int = 0
    sent: int = 0  # bytes that a flooding behaviour got rid of
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, claim: Callable[["Receiver"], bool], *, within: float = 5) -> None:
        """Wait until something is true of this receiver; `within` is in seconds."""
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(lambda: claim(self))

    async def until_asked(self, requests: int, *, within: float = 5) -> None:
        """Wait until so many requests have come."""
        await self.until(lambda receiver: len(receiver.requests) >= requests, within=within)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task")
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while not writer.is_closing():
                request = await _read(reader, number)
                self.requests.append(request)
                await self._tell()
                await self.behaviour(Exchange(request, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the other side has gone, as it may
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)
            self.open -= 1
            await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def stop(self) -> None:
        """End every connection."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def receiving(
    behaviour: Behaviour | None = None, *, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Receiver]:
    """Run a receiver until the block ends."""
    receiver = Receiver() if behaviour is None else Receiver(behaviour)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 2)


async def _read(reader: asyncio.StreamReader, connection: int) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value for name, _, value in (entry.partition(": ") for entry in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(line, headers, body, connection)
