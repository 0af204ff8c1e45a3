"""Counts event types that are not in the catalogue, in memory first and then in batches."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, text

from hookline.db.away import rerunnable
from hookline.db.models import UnknownEventType
from hookline.domain.catalogue import Catalogue
from hookline.errors import Unavailable
from hookline.integrations.revision import Transactions
from hookline.logs import get_logger

MOST_NAMES: Final = 1_000  # that are kept, and that a process holds between two batches
_EVERY: Final = 10.0  # seconds between two batches
_ADD = text(
    """
    insert into unknown_event_types as known (name, count)
    select name, count
    from unnest(cast(:names as text[]), cast(:counts as bigint[])) as seen (name, count)
    order by name
    on conflict (name) do update
    set count = known.count + excluded.count, last_seen_at = now()
    """
)
_BOUND = text(
    """
    delete from unknown_event_types
    where name in (
        select name
        from unknown_event_types
        order by count desc, last_seen_at desc
        offset :most
    )
    """  # whoever makes names up makes each up once: what really comes outlasts those
)
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UnknownType:
    """A name that came in events and is not in the catalogue."""

    name: str
    group: str | None  # where the naming rules place it; None: nobody gets it
    count: int
    first_seen_at: datetime
    last_seen_at: datetime


class UnknownTypes:
    """One process's count, which it adds to what all processes counted.

    `run` is a task that its owner runs and cancels; a process that dies loses a batch.
    """

    def __init__(self, transactions: Transactions, catalogue: Catalogue) -> None:
        self._transactions = transactions
        self._catalogue = catalogue
        self._seen: Counter[str] = Counter()

    def saw(self, types: Iterable[str]) -> None:
        """Count the types of events that were accepted; returns at once."""
        find, seen = self._catalogue.find, self._seen
        for name in types:
            if find(name) is None and (name in seen or len(seen) < MOST_NAMES):
                seen[name] += 1

    @rerunnable
    async def flush(self) -> None:
        """Add what was counted. Raises Unavailable, and then it is kept."""
        seen = {name: count for name, count in self._seen.items() if not self._catalogue.find(name)}
        if not seen:
            self._seen.clear()
            return
        taken, self._seen = self._seen, Counter()
        added = {"names": list(seen), "counts": list(seen.values())}
        try:
            async with self._transactions.noting() as session:
                await session.execute(_ADD, added)
                await session.execute(_BOUND, {"most": MOST_NAMES})
        except Unavailable:
            self._seen = Counter(dict((self._seen + taken).most_common(MOST_NAMES)))
            raise

    async def run(self) -> None:
        """Add what was counted every few seconds until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.flush()
            except Unavailable:
                _LOG.warning("unknown_types.database_away")
            except Exception:  # noqa: BLE001 - the loop must go on: a count is not the work
                _LOG.exception("unknown_types.failed")

    async def aclose(self) -> None:
        """Add what was counted last."""
        try:
            await self.flush()
        except Unavailable:
            _LOG.warning("unknown_types.database_away")

    async def all(self) -> Sequence[UnknownType]:
        """Return the names that are still unknown, the most frequent first. Raises Unavailable."""
        await self.flush()
        query = select(UnknownEventType).order_by(
            UnknownEventType.count.desc(), UnknownEventType.name
        )
        async with self._transactions.reading() as session:
            rows = (await session.scalars(query.limit(MOST_NAMES))).all()
        return [
            UnknownType(
                row.name,
                self._catalogue.group_of(row.name),
                row.count,
                row.first_seen_at,
                row.last_seen_at,
            )
            for row in rows
            if self._catalogue.find(row.name) is None
        ]
