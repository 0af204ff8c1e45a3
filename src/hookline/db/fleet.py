"""Knows how many engines share a database: each holds a lock while its listener's session lasts.

No table and no row of anybody's: a process that dies loses its session, and with it the lock.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from hookline.logs import get_logger

FLEET_CHANNEL: Final = "hookline_engines"  # NOTIFY says that an engine has come: a hint
COUNT_EVERY: Final = 2.0  # seconds between counts
_SILENT = 8  # intervals without a word of its own until an engine is taken for frozen, or cut off
_KEY = 0x686F6F6B  # "hook": the first of the two numbers of these locks
_LOG = get_logger(__name__)

# The filter is tried row by row and the limit stops it, so that one lock is taken: the first free.
_JOIN = """
select place
from generate_series(0, 9999) as place
where pg_try_advisory_lock($1::int, place)
limit 1
"""
_COUNT = """
select lock.objid::int as place, lock.pid = pg_backend_pid() as mine
from pg_locks as lock
left join pg_stat_activity as session on session.pid = lock.pid
where lock.locktype = 'advisory'
    and lock.database = (select oid from pg_database where datname = current_database())
    and lock.classid = $1::int::oid
    and lock.objsubid = 2
    and lock.granted
    and coalesce(
        session.state_change > clock_timestamp() - make_interval(secs => $2::float8), true
    )
order by place
"""


class Fleet:
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
            _LOG.warning("fleet.uncounted")

    async def join(self, connection: asyncpg.Connection) -> None:
        """Take a place for as long as this session lasts, and have the others count again."""
        self._place = await connection.fetchval(_JOIN, _KEY)
        await connection.execute(f"notify {FLEET_CHANNEL}")

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
            _LOG.warning("fleet.no_session", hint="a pooler in transaction mode is between")
        self._counted(0, [0])
