"""Tells engines in other processes which lanes have work due in the database.

These are hints: an engine that misses one finds the work at its next poll.
"""

from collections.abc import Awaitable, Callable, Collection

from hookline.background import Debounced
from hookline.errors import Unavailable

_LONGEST = 7_000  # bytes of a notification; PostgreSQL takes less than 8,000


class Announcer:
    """Gathers announcements into few calls of `notify`, which is told the lanes, comma-separated.

    An empty notification has every engine ask the database what waits where. One that names lanes
    costs only the engine that has them.
    """

    def __init__(self, notify: Callable[[str], Awaitable[None]]) -> None:
        self._notify = notify
        self._lanes: set[str] = set()
        self._unnamed = False
        self._debounced = Debounced("announcer", self._announce)

    def announce(self, integration_ids: Collection[str] = ()) -> None:
        """Have work announced soon, in these integrations' lanes or in any; return at once."""
        self._lanes.update(integration_ids)
        self._unnamed = self._unnamed or not integration_ids
        self._debounced.soon()

    async def aclose(self) -> None:
        """Finish what was announced; where the database is away, it is left."""
        await self._debounced.aclose()

    async def _announce(self) -> None:
        lanes, unnamed = self._lanes, self._unnamed
        self._lanes, self._unnamed = set(), False
        named = "" if unnamed else ",".join(lanes)
        try:
            await self._notify(named if len(named) <= _LONGEST else "")
        except Unavailable:
            self._lanes |= lanes
            self._unnamed = self._unnamed or unnamed
            raise
