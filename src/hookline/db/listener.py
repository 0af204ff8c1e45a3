"""Notifications, sent and heard, and how many engines share the database.

Notifications are hints: losing one costs a poll. Each engine holds an advisory lock for as long as
its listener's session lasts: no table and no row, so a process that dies leaves with its session.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

import asyncpg

from hookline.background import Debounced, Periodic
from hookline.db.connections import connect
from hookline.db.errors import AWAY, BUSY
from hookline.db.statements import statement
from hookline.errors import Unavailable
from hookline.logs import get_logger

_LONGEST = 7_000  # bytes of a notification; PostgreSQL takes less than 8,000
_SHORTEST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 5.0  # seconds between tries to connect
_HEARTBEAT = 15.0  # seconds between proofs that the connection is still there
ENGINES_CHANNEL: Final = "hookline_engines"  # NOTIFY says that an engine has come: a hint
COUNT_EVERY: Final = 2.0  # seconds between counts
_SILENT = 8  # intervals without a word of its own until an engine is taken for frozen, or cut off
_KEY = 0x686F6F6B  # "hook": the first of the two numbers of these locks
_JOIN = statement("db/join_engines")
_COUNT = statement("db/count_engines")
_LOG = get_logger(__name__)


class EngineMembership:
    """The engines of one database, as one of them sees the others.

    `counted` is told at each count which place is this engine's, and which are taken in all. A
    place that said nothing for eight counts is not among them. `every` is in seconds.
    """

    def __init__(
        self, counted: Callable[[int, Sequence[int]], object], *, every: float = COUNT_EVERY
    ) -> None:
        self.every = every
        self._counted = counted
        self._known = asyncio.Event()
        self._place: int | None = None
        self._complained = False

    async def known(self, *, within: float) -> None:
        """Wait for the first count, `within` seconds at the most; without one, we are alone."""
        try:
            async with asyncio.timeout(within):
                await self._known.wait()
        except TimeoutError:
            _LOG.warning("membership.uncounted")

    async def join(self, connection: asyncpg.Connection) -> None:
        """Take a place for as long as this session lasts, and have the others count again."""
        self._place = await connection.fetchval(_JOIN, _KEY)
        await connection.execute(f"notify {ENGINES_CHANNEL}")

    async def count(self, connection: asyncpg.Connection) -> None:
        """Count the places that are taken now, over the session that holds ours."""
        rows = await connection.fetch(_COUNT, _KEY, self.every * _SILENT)
        places = [row["place"] for row in rows]
        match [row["place"] for row in rows if row["mine"]]:
            case [mine] if mine == self._place:
                self._counted(mine, places)
            case _:
                self._count_alone()
        self._known.set()

    def _count_alone(self) -> None:
        """Where sessions are not ours to keep, nobody can be counted: each is as if alone."""
        if not self._complained:
            self._complained = True
            _LOG.warning("membership.no_session", hint="a pooler in transaction mode is between")
        self._counted(0, [0])


class Listener:
    """Calls a channel's handler with each payload, and every handler after a reconnection.

    A notification that was sent while nobody was connected is lost, so a new connection counts as
    a notification without a payload on all channels. An engine's listener holds its `membership`
    by its session.
    """

    name: Final = "listener"

    def __init__(
        self,
        dsn: str,
        handlers: Mapping[str, Callable[[str], object]],
        membership: EngineMembership | None = None,
    ) -> None:
        self._dsn = dsn
        self._handlers = handlers
        self._membership = membership
        self._pause = _SHORTEST_PAUSE

    async def run(self) -> None:
        """Listen until cancelled, reconnecting for as long as it takes."""
        await Periodic(self.name, self._listen_once, self._next_pause).run()

    def _next_pause(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        return pause

    async def _listen_once(self) -> None:
        try:
            await self._listen()
        except (*AWAY, *BUSY) as error:
            _LOG.warning("listener.disconnected", error=type(error).__name__)

    async def _listen(self) -> None:
        connection = await connect(self._dsn, name="hookline listener", answer_timeout=5)
        try:
            stirred = asyncio.Event()
            connection.add_termination_listener(lambda _: stirred.set())
            for channel, handler in self._handlers.items():
                await connection.add_listener(channel, _calling(handler))
            if self._membership is not None:
                await connection.add_listener(ENGINES_CHANNEL, lambda *_: stirred.set())
                await self._membership.join(connection)
            self._pause = _SHORTEST_PAUSE
            for handler in self._handlers.values():
                handler("")
            while not connection.is_closed():
                stirred.clear()
                await self._prove(connection, stirred)
            _LOG.warning("listener.disconnected", error="ConnectionEnded")
        finally:
            connection.terminate()

    async def _prove(self, connection: asyncpg.Connection, stirred: asyncio.Event) -> None:
        """See that the connection is there, and wait until that is to be seen again."""
        if self._membership is None:
            await connection.execute("select")
            await _happens(stirred, within=_HEARTBEAT)
        else:
            await self._membership.count(connection)
            await _happens(stirred, within=self._membership.every)


async def _happens(event: asyncio.Event, *, within: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()


def _calling(handler: Callable[[str], object]) -> Callable[..., None]:
    def notified(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        handler(payload)

    return notified


class PendingNotifier:
    """Debounced NOTIFY for pending deliveries: `send` is given the lanes, comma-separated.

    An empty notification has every engine ask the database what waits where. One that names lanes
    costs only the engine that has them.
    """

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._lanes: set[str] = set()
        self._unnamed = False
        self._debounced = Debounced("notify-pending", self._notify)

    def notify(self, integration_ids: Collection[str] = ()) -> None:
        """Notify soon of work in these integrations' lanes, or in any; return at once."""
        self._lanes.update(integration_ids)
        self._unnamed = self._unnamed or not integration_ids
        self._debounced.soon()

    async def aclose(self) -> None:
        """Send what is gathered; where the database is away, it is left."""
        await self._debounced.aclose()

    async def _notify(self) -> None:
        lanes, unnamed = self._lanes, self._unnamed
        self._lanes, self._unnamed = set(), False
        named = "" if unnamed else ",".join(lanes)
        try:
            await self._send(named if len(named) <= _LONGEST else "")
        except Unavailable:
            self._lanes |= lanes
            self._unnamed = self._unnamed or unnamed
            raise
