"""Listens for notifications on a connection of its own. They are hints: losing one costs a poll."""

import asyncio
from collections.abc import Callable, Mapping

import asyncpg

from hookline.db.connections import AWAY
from hookline.logs import get_logger

_SHORTEST_PAUSE = 0.1  # seconds
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
        self._pause = _SHORTEST_PAUSE

    async def run(self) -> None:
        """Listen until cancelled, reconnecting for as long as it takes."""
        while True:
            try:
                await self._listen()
            except AWAY as error:
                _LOG.warning("listener.disconnected", error=type(error).__name__)
            except Exception:  # noqa: BLE001 - the loop must go on: hints are worth having again
                _LOG.exception("listener.failed")
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=5)
        try:
            ended = asyncio.Event()
            connection.add_termination_listener(_calling(ended.set))
            for channel, handler in self._handlers.items():
                await connection.add_listener(channel, _calling(handler))
            self._pause = _SHORTEST_PAUSE
            for handler in self._handlers.values():
                handler()
            while not await _happens(ended, within=_HEARTBEAT):
                await connection.execute("select")
            _LOG.warning("listener.disconnected", error="ConnectionEnded")
        finally:
            connection.terminate()


async def _happens(event: asyncio.Event, *, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return False


def _calling(handler: Callable[[], None]) -> Callable[..., None]:
    def notified(*_: object) -> None:
        handler()

    return notified
