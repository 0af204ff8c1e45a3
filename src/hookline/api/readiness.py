"""Whether this process can do its work: the database, its migrations, the engine."""

import asyncio
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.api.ports import Check
from hookline.db.errors import means_away
from hookline.db.migrate import is_current, newest_revision
from hookline.dispatch.engine import Engine

_READY_TIMEOUT = 2.0  # seconds; a balancer asks again soon


class DatabaseAndEngine:
    """Knows whether this process can do its work; see `api.ports.Readiness`."""

    def __init__(self, records: AsyncEngine, engine: Engine | None) -> None:
        self._records = records
        self._engine = engine

    async def checks(self) -> Sequence[Check]:
        """Ask the database, its migrations and the engine."""
        checks = list(await self._database())
        if self._engine is not None:
            alive = self._engine.alive
            checks.append(Check("engine", alive, "delivering" if alive else "stopped"))
        return checks

    async def _database(self) -> Sequence[Check]:
        try:
            async with asyncio.timeout(_READY_TIMEOUT):
                current = await is_current(self._records)
        except Exception as error:
            if not means_away(error):
                raise
            away = "cannot be reached"
            return Check("database", False, away), Check("migrations", False, away)  # noqa: FBT003 - its second field says what it is
        wanted = newest_revision()
        return (
            Check("database", True, "answers"),  # noqa: FBT003 - as above
            Check("migrations", current, f"at {wanted}" if current else f"not at {wanted}"),
        )
