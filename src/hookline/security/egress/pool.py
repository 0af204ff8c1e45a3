"""Connections that are kept for the next request, bounded in total and for each origin.

An origin that uses up its own bound waits for itself; it never holds a slot of the total meanwhile.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from hookline.security.egress.connection import Connection
from hookline.security.egress.errors import ConnectionLost
from hookline.security.egress.urls import Origin


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections there may be, and for how long."""

    in_use: int = 512  # requests under way at a time
    in_use_per_origin: int = 64
    idle: int = 256  # kept open with nothing under way
    idle_per_origin: int = 16
    idle_seconds: float = 30.0  # most servers give up on their side between 5 and 75 s
    age_seconds: float = 120.0  # how long a change in the DNS may go unnoticed


class _Shelf:
    """One origin's slots and idle connections, the one used last on top."""

    __slots__ = ("busy", "idle", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self.busy = 0  # requests that hold a slot or wait for one
        self.idle: list[Connection] = []


class Pool:
    """Slots and idle connections by origin. `enter`, then `leave` exactly once."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.in_use)
        self._shelves: OrderedDict[Origin, _Shelf] = OrderedDict()
        self._idle = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def enter(self, origin: Origin) -> None:
        """Take a slot for one request; wait while the bounds are reached."""
        if self._closed:
            raise ConnectionLost("the transport is closed", silent=False)
        shelf = self._shelves.get(origin)
        if shelf is None:
            shelf = self._shelves[origin] = _Shelf(self._limits.in_use_per_origin)
        shelf.busy += 1
        try:
            await shelf.slots.acquire()
            try:
                await self._slots.acquire()
            except BaseException:
                shelf.slots.release()
                raise
        except BaseException:
            shelf.busy -= 1
            self._tidy(origin, shelf)
            raise

    def reuse(self, origin: Origin) -> Connection | None:
        """Return an idle connection that still looks alive, if there is one."""
        shelf = self._shelves[origin]
        now = asyncio.get_running_loop().time()
        while shelf.idle:
            connection = shelf.idle.pop()
            self._idle -= 1
            if connection.usable and not self._stale(connection, now):
                return connection
            connection.abort()
        return None

    def leave(self, origin: Origin, connection: Connection | None = None) -> None:
        """Give the slot back, and the connection if it can serve again."""
        shelf = self._shelves[origin]
        if connection is not None and connection.release():
            self._keep(origin, shelf, connection)
        self._slots.release()
        shelf.slots.release()
        shelf.busy -= 1
        self._tidy(origin, shelf)

    def forget(self, origin: Origin) -> None:
        """Close what is idle for an origin."""
        if shelf := self._shelves.get(origin):
            self._drop_idle(shelf, keep=0)
            self._tidy(origin, shelf)

    def close(self) -> None:
        """Close everything idle, and keep nothing from now on."""
        self._closed = True
        for origin in tuple(self._shelves):
            self.forget(origin)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _keep(self, origin: Origin, shelf: _Shelf, connection: Connection) -> None:
        if self._closed:
            connection.abort()
            return
        shelf.idle.append(connection)
        self._idle += 1
        self._shelves.move_to_end(origin)
        if len(shelf.idle) > self._limits.idle_per_origin:
            self._drop_idle(shelf, keep=self._limits.idle_per_origin)
        if self._idle > self._limits.idle:
            oldest = next(s for s in self._shelves.values() if s.idle)
            self._drop_idle(oldest, keep=len(oldest.idle) - 1)
        if self._sweeper is None:
            self._sweep_later()

    def _drop_idle(self, shelf: _Shelf, *, keep: int) -> None:
        while len(shelf.idle) > keep:
            shelf.idle.pop(0).abort()
            self._idle -= 1

    def _stale(self, connection: Connection, now: float) -> bool:
        return (
            now - connection.idle_since > self._limits.idle_seconds
            or now - connection.opened_at > self._limits.age_seconds
        )

    def _tidy(self, origin: Origin, shelf: _Shelf) -> None:
        if not shelf.busy and not shelf.idle:
            with suppress(KeyError):
                del self._shelves[origin]

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(self._limits.idle_seconds / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = asyncio.get_running_loop().time()
        for origin, shelf in tuple(self._shelves.items()):
            alive = [c for c in shelf.idle if c.usable and not self._stale(c, now)]
            for connection in shelf.idle:
                if connection not in alive:
                    connection.abort()
            self._idle -= len(shelf.idle) - len(alive)
            shelf.idle = alive
            self._tidy(origin, shelf)
        if self._idle:
            self._sweep_later()
