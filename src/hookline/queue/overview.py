"""What waits in the queue, for people who look at it: read alone, nothing is claimed or changed."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from hookline.db.errors import unavailable_when_away
from hookline.db.statements import statement


@dataclass(slots=True)
class Backlog:
    """How many deliveries are pending, by what they wait for and by integration.

    `estimated` says that the table was too large to be counted and a sample was.
    """

    leased: int = 0  # under way, or next in turn, in an engine's hands
    due: int = 0
    scheduled: int = 0  # for a retry, or a later turn
    by_integration: dict[str, int] = field(default_factory=dict)
    estimated: bool = False

    @property
    def pending(self) -> int:
        """All of them."""
        return self.leased + self.due + self.scheduled


@dataclass(frozen=True, slots=True)
class OldestDue:
    """The delivery that has been due for longest and that no engine holds."""

    integration_id: str
    due_at: datetime
    waited: float  # seconds


class QueueOverview:
    """Reads the queue's tables without a part in the queue's work."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._backlog = statement("queue/backlog_by_state")
        self._waiting = statement("queue/waiting")

    async def backlog(self) -> Backlog:
        """Count what is pending; very many are estimated from a sample. Raises Unavailable."""
        with unavailable_when_away():
            rows = await self._pool.fetch(self._backlog)
        found = Backlog()
        for row in rows:
            found.leased += row["leased"]
            found.scheduled += row["scheduled"]
            found.due += row["pending"] - row["leased"] - row["scheduled"]
            found.by_integration[row["integration_id"]] = row["pending"]
            found.estimated = row["estimated"]
        return found

    async def oldest_due(self, *, but_for: AbstractSet[str]) -> OldestDue | None:
        """Return what has been due for longest, except for these integrations'. Raises Unavailable.

        Of an integration that keeps order, a subject that just changed is left out.
        """
        with unavailable_when_away():
            rows = await self._pool.fetch(self._waiting)
        changed = -datetime.now(UTC).timestamp() / 2  # due at the epoch: to be looked at anew
        due = [
            (row["due_in"], row["integration_id"])
            for row in rows
            if changed < row["due_in"] <= 0 and row["integration_id"] not in but_for
        ]
        if not due:
            return None
        due_in, integration_id = min(due)
        due_at = datetime.now(UTC) + timedelta(seconds=due_in)
        return OldestDue(integration_id, due_at, -due_in)
