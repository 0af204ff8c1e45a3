"""A network between a service and its Postgres that moves, breaks and falls silent when told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit

_CHUNK = 65_536
_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Proxy:
    """Two addresses on 127.0.0.1, of which one at a time leads to a server's socket."""

    def __init__(self, dsn: str) -> None:
        self._address = urlsplit(dsn)
        self._options = parse_qs(self._address.query)
        self._servers: list[asyncio.Server] = []
        self._ports: list[int] = []
        self._active = 0
        self._replies = asyncio.Event()
        self._requests = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.kept_back = 0  # bytes of replies

    @property
    def dsn(self) -> str:
        """The server's address over here, with both hosts in it."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        user = self._address.netloc.rpartition("@")[0]
        return urlunsplit(self._address._replace(netloc=f"{user}@{hosts}", query=""))

    async def open(self) -> None:
        for number in range(2):
            server = await asyncio.start_server(self._serving(number), "127.0.0.1", 0)
            self._servers.append(server)
            self._ports.append(server.sockets[0].getsockname()[1])
        self._replies.set()
        self._requests.set()

    async def close(self) -> None:
        self.cut()
        for server in self._servers:
            server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every connection that is open."""
        for task in self._tasks:
            task.cancel()

    def fail_over(self) -> None:
        """Have the other address lead to the server, and this one nowhere."""
        self._active = 1 - self._active
        self.cut()

    def keep_replies_back(self) -> None:
        """Bring the server what it is asked, and the client nothing."""
        self._replies.clear()

    def fall_silent(self) -> None:
        """Bring nobody anything, and end nothing: a host that is gone says no goodbye."""
        self._replies.clear()
        self._requests.clear()

    def forget_the_silent(self) -> None:
        """Leave those connections silent for ever, and serve new ones."""
        self._replies = asyncio.Event()
        self._requests = asyncio.Event()
        self._replies.set()
        self._requests.set()

    def _serving(self, number: int) -> _Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            try:
                if number == self._active:
                    await self._join(reader, writer)
            except (OSError, asyncio.CancelledError):
                pass  # cut, as connections may be
            finally:
                writer.transport.abort()

        return serve

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if "host" in self._options:
            [folder], [port] = self._options["host"], self._options["port"]
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._address.hostname, self._address.port or 5432)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await self._connect()
        ways = [
            asyncio.create_task(self._bring(reader, to_server, self._requests)),
            asyncio.create_task(self._bring(from_server, writer, self._replies)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_server.transport.abort()

    async def _bring(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, allowed: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if not allowed.is_set():
                    self.kept_back += len(data)
                    await allowed.wait()
                sink.write(data)
                await sink.drain()


@asynccontextmanager
async def proxied(dsn: str) -> AsyncIterator[Proxy]:
    """Put a network in front of a server for the time of the block."""
    proxy = Proxy(dsn)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
