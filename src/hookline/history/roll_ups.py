"""Counts the log of settlements into roll-ups by integration and hour, and forgets what is old.

A settlement is logged in the statement that writes it, and counted in the transaction that marks
its log entry: each counts once, whichever process dies when. Events that filters refused have no
delivery and no settlement: they are counted in memory first and then in batches.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hookline.db.errors import unavailable_when_away
from hookline.db.statements import statement
from hookline.domain.statistics import RollUp
from hookline.errors import Unavailable
from hookline.logs import get_logger

MOST_FILTERED: Final = 50_000  # integrations and hours that a process holds between two batches
ALL: Final = ""  # in place of an integration's id: all of them together
KEPT_FOR: Final = timedelta(minutes=6)  # a stream is resumed within five
_COUNTING: Final = 0x686F6F6B6C696E68  # an advisory lock of its own: one process counts at a time
_BATCHES_AT_ONCE: Final = 500  # of up to 500 settlements each
_WRITTEN_AT_ONCE: Final = 200  # roll-ups between two looks at what else this process has to do
_FORGOTTEN_AT_ONCE: Final = 5_000  # rows a statement: short transactions

Hours = dict[int, RollUp]
Key = tuple[str, date]
"""An integration's id, or ALL, and a day."""

_DECODER = msgspec.msgpack.Decoder(Hours)
_LOCK = text("select pg_try_advisory_xact_lock(:key)")
_WAIT_FOR_LOCK = text("select pg_advisory_xact_lock(:key)")  # bounded by the statement timeout
_COUNT = text(statement("history/count_settlements"))
_LOAD = text(statement("history/roll_ups"))
_STORE = text(statement("history/store_roll_ups"))
_FORGET_LOG = text(statement("history/forget_settlements"))
_FORGET_ROLL_UPS = text(statement("history/forget_roll_ups"))
_LOG = get_logger(__name__)


class RollUps:
    """Keeps the roll-ups, for `days`. Any number of processes may; one of them counts at a time."""

    def __init__(self, engine: AsyncEngine, *, days: int) -> None:
        self._engine = engine
        self._days = days

    async def keep(self, now: datetime | None = None) -> None:
        """Count what is logged, and forget what is past its time. Raises Unavailable."""
        now = now or datetime.now(UTC)
        with unavailable_when_away():
            while await self._count() >= _BATCHES_AT_ONCE:
                continue
            await self._forget(_FORGET_LOG, now - KEPT_FOR)
            await self._forget(_FORGET_ROLL_UPS, now.date() - timedelta(days=self._days))

    async def _count(self) -> int:
        """Count some of what is logged; return how many entries of the log that were."""
        async with self._engine.begin() as connection:
            if not await connection.scalar(_LOCK, {"key": _COUNTING}):
                return 0
            taken = await connection.execute(_COUNT, {"most": _BATCHES_AT_ONCE})
            rows = taken.mappings().all()
            changes = list(counted(rows).items())
            for start in range(0, len(changes), _WRITTEN_AT_ONCE):
                await _add(connection, dict(changes[start : start + _WRITTEN_AT_ONCE]))
                await asyncio.sleep(0)
        return rows[0]["batches"] if rows else 0

    async def _forget(self, statement: TextClause, edge: datetime | date) -> None:
        removed = _FORGOTTEN_AT_ONCE
        while removed >= _FORGOTTEN_AT_ONCE:
            async with self._engine.begin() as connection:
                parameters = {"edge": edge, "most": _FORGOTTEN_AT_ONCE}
                removed = (await connection.execute(statement, parameters)).rowcount


class FilteredEvents:
    """Counts the events that filters refused, as skipped, by integration and hour."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._seen: defaultdict[datetime, Counter[str]] = defaultdict(Counter)  # by hour
        self._dropped = 0
        self._flushing = asyncio.Lock()

    def saw(self, integrations: Sequence[str], now: datetime | None = None) -> None:
        """Count an event that was stored, for those whose filters refused it; returns at once."""
        now = now or datetime.now(UTC)
        seen = self._seen[now.replace(minute=0, second=0, microsecond=0)]
        if self._held() + len(integrations) <= MOST_FILTERED:
            seen.update(integrations)
            return
        for integration_id in integrations:
            if integration_id in seen or self._held() < MOST_FILTERED:
                seen[integration_id] += 1
            else:
                self._dropped += 1

    async def flush(self) -> None:
        """Add what was counted to the roll-ups. Raises Unavailable, and then it is kept."""
        async with self._flushing:
            if self._dropped:
                _LOG.warning("filtered_events.not_counted", events=self._dropped)
                self._dropped = 0
            for hour, seen in list(self._seen.items()):
                keys = list(seen)
                for start in range(0, len(keys), _WRITTEN_AT_ONCE):
                    taken = {key: seen[key] for key in keys[start : start + _WRITTEN_AT_ONCE]}
                    with unavailable_when_away():
                        await self._store(hour, taken)
                    for key, times in taken.items():
                        seen[key] -= times
                        if not seen[key]:  # else more came meanwhile
                            del seen[key]
                if not seen:
                    del self._seen[hour]

    async def aclose(self) -> None:
        """Add what was counted last."""
        try:
            await self.flush()
        except Unavailable:
            lost = sum(seen.total() for seen in self._seen.values())
            _LOG.warning("filtered_events.database_away", events=lost)

    def _held(self) -> int:
        return sum(map(len, self._seen.values()))

    async def _store(self, hour: datetime, taken: Mapping[str, int]) -> None:
        changes: dict[Key, Hours] = {}
        for integration_id, times in taken.items():
            for counts_for in (integration_id, ALL):
                hours = changes.setdefault((counts_for, hour.date()), {})
                hours.setdefault(hour.hour, RollUp()).skipped += times
        async with self._engine.begin() as connection:
            await connection.execute(_WAIT_FOR_LOCK, {"key": _COUNTING})
            await _add(connection, changes)


def counted(rows: Iterable[RowMapping]) -> dict[Key, Hours]:
    """Make roll-ups of codes with the hour, the integration and how many there were."""
    found: dict[Key, Hours] = {}
    for row in rows:
        hour: datetime = row["hour"]
        for integration_id in (row["integration_id"], ALL):
            hours = found.setdefault((integration_id, hour.date()), {})
            hours.setdefault(hour.hour, RollUp()).count(row["code"], row["times"])
    return found


def decoded(hours: bytes) -> Hours:
    """Read the roll-ups of a day as they are stored."""
    return _DECODER.decode(hours)


async def _add(connection: AsyncConnection, changes: Mapping[Key, Hours]) -> None:
    """Add to what is stored. Nobody else writes to it meanwhile."""
    rows = (await connection.execute(_LOAD, _named(list(changes)))).mappings()
    for row in rows:
        added = changes[row["integration_id"], row["day"]]
        for hour, known in decoded(row["hours"]).items():
            added.setdefault(hour, RollUp()).add(known)
    stored = [msgspec.msgpack.encode(hours) for hours in changes.values()]
    await connection.execute(_STORE, {**_named(list(changes)), "hours": stored})


def _named(keys: Sequence[Key]) -> dict[str, object]:
    return {"integrations": [each for each, _ in keys], "days": [day for _, day in keys]}
