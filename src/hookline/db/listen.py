"""Listens for notifications on a connection of its own. They are hints: losing one costs a poll."""

import asyncio
from collections.abc import Callable, Mapping

import asyncpg

from hookline.db.connections import AWAY
from hookline.logs import get_logger

_LONGEST_PAUSE = 5.0  # seconds between tries to connect
_HEARTBEAT = 15.0  # seconds between proofs that the connection is still there
_LOG = get_logger(__name__)


class Listener:
    """Calls a channel's handler at each notification, and every handler after a reconnection.

    A notification that was sent while nobody was connected is lost, so a new connection counts as
    a notification on all channels.
    """

    def __init__(self, dsn: str, handlers: Mapping[str, Callable[[], None]]) -> None:
        self._dsn = dsn
        self._handlers = handlers

    async def run(self) -> None:
        """Listen until cancelled, reconnecting for as long as it takes."""
        pause = 0.1
        while True:
            try:
                await self._listen()
            except AWAY as error:
                _LOG.warning("listener.disconnected", error=type(error).__name__)
            except asyncpg.PostgresError:
                _LOG.exception("listener.failed")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=5)
        try:
            for channel, handler in self._handlers.items():
                await connection.add_listener(channel, _calling(handler))
                handler()
            while True:
                await asyncio.sleep(_HEARTBEAT)
                await connection.execute("select")
        finally:
            connection.terminate()


def _calling(handler: Callable[[], None]) -> Callable[..., None]:
    def notified(*_: object) -> None:
        handler()

    return notified
