"""Removes records that nothing names any more: deleted integrations, keys that have ended.

A deleted integration says who may see its deliveries, so it stays while a day is kept on which it
was there. A key that ended is listed for as long as events are.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import TextClause, text

from hookline.db.errors import rerunnable
from hookline.db.partitions import days_between
from hookline.db.statements import statement
from hookline.integrations.creation import KEPT_FOR
from hookline.integrations.revision import Transactions
from hookline.logs import get_logger

_SLACK = timedelta(days=1)  # clocks differ, and a day's ids are made in its own minutes alone
_AT_ONCE = 1_000  # rows a statement: short transactions
_KEPT_DAYS = text(statement("db/kept_days"))
_DELETED = text(statement("integrations/remove_deleted_integrations"))
_ENDED = text(statement("integrations/remove_ended_keys"))
_UNKNOWN_TYPES = text(statement("integrations/remove_unknown_types"))
_HEALTH = text(statement("integrations/remove_health"))
_RESULTS = text(statement("integrations/remove_idempotency_keys"))
_LOG = get_logger(__name__)


class RecordRetention:
    """Removes what ended more than `days` ago. Any number of processes may do so at once."""

    def __init__(self, transactions: Transactions, *, days: int) -> None:
        self._transactions = transactions
        self._days = days

    async def keep(self, now: datetime | None = None) -> None:
        """Remove what may go. Raises Unavailable."""
        now = now or datetime.now(UTC)
        edge = now - timedelta(days=self._days)
        removed = {
            "integrations": await self._remove(_DELETED, edge=min(edge, await self._oldest_day())),
            "keys": await self._remove(_ENDED, edge=edge),
            "unknown_types": await self._remove(_UNKNOWN_TYPES, edge=edge),
            "health": await self._remove(_HEALTH),
            "results": await self._remove(_RESULTS, edge=now - KEPT_FOR),
        }
        if any(removed.values()):
            _LOG.info("records.removed", **removed)

    async def _oldest_day(self) -> datetime:
        """Return a moment before all that is stored of events and deliveries."""
        async with self._transactions.reading() as session:
            days = days_between(*(await session.execute(_KEPT_DAYS)).one())
        oldest = datetime.now(UTC).date() if days is None else days[0]
        return datetime(oldest.year, oldest.month, oldest.day, tzinfo=UTC) - _SLACK

    async def _remove(self, statement: TextClause, **parameters: datetime) -> int:
        removed = 0
        while True:
            count = await self._remove_some(statement, parameters)
            removed += count
            if count < _AT_ONCE:
                return removed

    @rerunnable
    async def _remove_some(self, statement: TextClause, parameters: dict[str, datetime]) -> int:
        async with self._transactions.noting() as session:
            rows = await session.execute(statement, {**parameters, "most": _AT_ONCE})
            return len(rows.all())
