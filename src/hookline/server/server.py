"""Runs uvicorn on a socket that is bound already, without its signal handlers and logs."""

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final

import uvicorn

from hookline.background import keep_running
from hookline.errors import ConfigurationError
from hookline.server.connections import ConnectionLimits, Connections
from hookline.server.protocol import Connection

if TYPE_CHECKING:
    from hookline.server.signals import Stopping


_BACKLOG = 2048  # connections that wait while a burst is accepted; the kernel may allow fewer
_BYTES_AT_ONCE: Final = 256 * 1024  # of a body that the application wants
_FIRST_BYTES: Final = 16 * 1024  # of a request that may have to wait: its head, and what came along
_NO_SETTINGS = ConnectionLimits()
_SHORT_GRACE = 1.0  # seconds, for a receiver that nobody waits for


def listener(host: str, port: int, *, advice: str, shared: bool = False) -> socket.socket:
    """Take the address before anything slow is started; `advice` ends the refusal's sentence.

    `shared` lets several processes of one user take it, each with its share of the connections.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        taken = socket.socket(family, kind, protocol)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            taken.bind(address)
            taken.listen(_BACKLOG)
        except OSError:
            taken.close()
            raise
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            advice = "name an address of this machine, such as 127.0.0.1 or 0.0.0.0."
        why = error.strerror or "no reason is given"
        message = f"{host}:{port} cannot be listened on ({why}); {advice}"
        raise ConfigurationError(message) from error
    return taken


def shared_port(taken: socket.socket) -> socket.socket:
    """Close a listening socket and keep its port, for processes of one user that share it.

    The socket that is returned accepts nothing; while it is open nobody else gets the port.
    """
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept = socket.socket(taken.family, taken.type, taken.proto)
    with taken:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(taken.getsockname())
    return kept


def address_of(taken: socket.socket) -> str:
    """Return the http:// address of a listening socket, its real port included."""
    host, port = taken.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - shown, not bound
    return f"http://{shown}:{port}"


class Server(uvicorn.Server):
    """A server that calls `started` once it answers, and leaves signals to its owner."""

    def __init__(
        self,
        application: Any,  # noqa: ANN401 - an ASGI application, in any library's type for it
        limits: ConnectionLimits,
        grace: float,
        when_started: Callable[[], None],
    ) -> None:
        self._open = Connections(limits)
        super().__init__(_config(application, limits, grace, self._open))
        self._when_started = when_started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: `Stopping` has them."""
        yield

    def stop(self) -> None:
        """Take no more connections, finish what is under way, and end."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, then say so."""
        await super().startup(sockets)
        if self.started:
            self._when_started()

    async def main_loop(self) -> None:
        """Serve until asked to stop, and end connections that are overdue."""
        async with AsyncExitStack() as stack:
            keep_running(stack, self._open.checks())
            await super().main_loop()


async def answer(  # noqa: PLR0913 - each by its name
    application: Any,  # noqa: ANN401 - as above
    taken: socket.socket,
    stopping: "Stopping",
    *,
    grace: float,
    when_started: Callable[[], None],
    when_stopping: Callable[[], None] = lambda: None,
    limits: ConnectionLimits = _NO_SETTINGS,
) -> None:
    """Serve until the first signal, then let requests finish for at most `grace` seconds.

    `when_stopping` ends those that would not by themselves.
    """
    server = Server(application, limits, grace, when_started)

    def stop() -> None:
        server.stop()
        when_stopping()

    stopping.asks(stop)
    await server.serve(sockets=[taken])


@asynccontextmanager
async def answering(application: Any, taken: socket.socket) -> AsyncIterator[None]:  # noqa: ANN401 - as above
    """Serve while the block lasts."""
    started = asyncio.Event()
    server = Server(application, _NO_SETTINGS, _SHORT_GRACE, started.set)
    serving = asyncio.create_task(server.serve(sockets=[taken]))  # noqa: TID251 - awaited below
    try:
        await started.wait()
        yield
    finally:
        server.stop()
        await serving


def _config(
    application: Any,  # noqa: ANN401 - as above
    limits: ConnectionLimits,
    grace: float,
    connections: Connections,
) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="none",
        http=connections_of(connections),  # type: ignore[arg-type]  # called as a class, nothing more
        proxy_headers=bool(limits.proxies),
        forwarded_allow_ips=[str(network) for network in limits.proxies],
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=limits.keep_alive,  # type: ignore[arg-type]  # only added to a time
        timeout_graceful_shutdown=max(1, round(grace)),
        backlog=_BACKLOG,
    )


def allow_many_sockets() -> None:
    """Raise the limit to what the system allows: callers must not use up what deliveries need.

    A shell's own limit is often 1,024, far below the connections that the settings allow.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a bound that it does not allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Reader(asyncio.BufferedProtocol):
    """Reads for a connection, no more at once than it may have to keep.

    The event loop's own buffer has 256 KiB, which each of thousands of waiting requests would hold.
    """

    _few: ClassVar = memoryview(bytearray(_FIRST_BYTES))  # for all: they are taken over at once
    _many: ClassVar = memoryview(bytearray(_BYTES_AT_ONCE))

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._buffer = self._few

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass it on, as all that is not read."""
        self._connection.connection_made(transport)  # type: ignore[arg-type]  # as uvicorn declares it

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def eof_received(self) -> bool:
        return self._connection.eof_received()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        self._buffer = self._many if self._connection.wants_body else self._few
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass the bytes on."""
        self._connection.data_received(bytes(self._buffer[:nbytes]))


def connections_of(among: Connections) -> Callable[..., _Reader]:
    """Return what makes a protocol for each connection."""

    def connection(*arguments: Any, **options: Any) -> _Reader:  # noqa: ANN401 - uvicorn's own
        return _Reader(Connection(*arguments, among=among, **options))

    return connection
