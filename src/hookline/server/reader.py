"""Reads for connections into shared buffers, no more at once than each may have to keep."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, Final

from hookline.server.connections import Connections
from hookline.server.protocol import Connection

_BYTES_AT_ONCE: Final = 256 * 1024  # of a body that the application wants
_FIRST_BYTES: Final = 16 * 1024  # of a request that may have to wait: its head, and what came along


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
