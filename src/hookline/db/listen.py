"""Listens for notifications on a connection of its own. They are hints: losing one costs a poll."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import asyncpg

from hookline.db.connections import connect
from hookline.db.errors import AWAY, BUSY
from hookline.db.fleet import FLEET_CHANNEL, Fleet
from hookline.logs import get_logger

_SHORTEST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 5.0  # seconds between tries to connect
_HEARTBEAT = 15.0  # seconds between proofs that the connection is still there
_LOG = get_logger(__name__)


class Listener:
    """Calls a channel's handler at each notification, and every handler after a reconnection.

    A notification that was sent while nobody was connected is lost, so a new connection counts as
    a notification on all channels. An engine's listener has its session stand for it in `fleet`.
    """

    def __init__(
        self, dsn: str, handlers: Mapping[str, Callable[[], None]], fleet: Fleet | None = None
    ) -> None:
        self._dsn = dsn
        self._handlers = handlers
        self._fleet = fleet
        self._pause = _SHORTEST_PAUSE

    async def run(self) -> None:
        """Listen until cancelled, reconnecting for as long as it takes."""
        while True:
            try:
                await self._listen()
            except (*AWAY, *BUSY) as error:
                _LOG.warning("listener.disconnected", error=type(error).__name__)
            except Exception:  # noqa: BLE001 - the loop must go on: hints are worth having again
                _LOG.exception("listener.failed")
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def _listen(self) -> None:
        connection = await connect(self._dsn, name="hookline listener", answer_timeout=5)
        try:
            stirred = asyncio.Event()
            connection.add_termination_listener(_calling(stirred.set))
            for channel, handler in self._handlers.items():
                await connection.add_listener(channel, _calling(handler))
            if self._fleet is not None:
                await connection.add_listener(FLEET_CHANNEL, _calling(stirred.set))
                await self._fleet.join(connection)
            self._pause = _SHORTEST_PAUSE
            for handler in self._handlers.values():
                handler()
            while not connection.is_closed():
                stirred.clear()
                await self._prove(connection, stirred)
            _LOG.warning("listener.disconnected", error="ConnectionEnded")
        finally:
            connection.terminate()

    async def _prove(self, connection: asyncpg.Connection, stirred: asyncio.Event) -> None:
        """See that the connection is there, and wait until that is to be seen again."""
        if self._fleet is None:
            await connection.execute("select")
            await _happens(stirred, within=_HEARTBEAT)
        else:
            await self._fleet.count(connection)
            await _happens(stirred, within=self._fleet.every)


async def _happens(event: asyncio.Event, *, within: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()


def _calling(handler: Callable[[], None]) -> Callable[..., None]:
    def notified(*_: object) -> None:
        handler()

    return notified
