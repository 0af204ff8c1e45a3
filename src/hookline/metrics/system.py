"""How the whole service fares at a glance: backlog, rates, processes and the database."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.db.inspection import DatabaseFacts, read_facts
from hookline.db.migrate import newest_revision
from hookline.domain.access import Tenant
from hookline.domain.health import HealthState
from hookline.integrations.subscriptions import Subscriptions
from hookline.metrics.processes import Heartbeat, ProcessState, Rates
from hookline.queue.overview import Backlog, OldestDue, QueueOverview

_FRESH: Final = 1.0  # seconds that a report is used for, so that many who look cost what one does
_FACTS_FRESH: Final = 30.0  # seconds; the size of a database is a look at each of its files
_MOST_TENANTS: Final = 10  # that have the most waiting


@dataclass(frozen=True, slots=True)
class SystemReport:
    """The service as it is at `at`."""

    at: datetime
    backlog: Backlog
    most_pending: int
    tenants: Sequence[tuple[Tenant, int]]  # that have the most waiting, the most first
    oldest_due: OldestDue | None
    integrations: Mapping[HealthState, int]
    processes: Sequence[ProcessState]
    database: DatabaseFacts
    newest_revision: str

    @property
    def rates(self) -> Rates:
        """The rates of all processes together."""
        return sum((each.rates for each in self.processes), Rates())


class System:
    """Makes reports, at most one a second."""

    def __init__(  # noqa: PLR0913 - the composition root hands over each part by name
        self,
        *,
        records: AsyncEngine,
        overview: QueueOverview,
        subscriptions: Subscriptions,
        heartbeat: Heartbeat,
        count_by_state: Callable[[], Awaitable[Mapping[HealthState, int]]],
        paused: Callable[[], Awaitable[set[str]]],
        most_pending: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._records = records
        self._overview = overview
        self._subscriptions = subscriptions
        self._heartbeat = heartbeat
        self._count_by_state = count_by_state
        self._paused = paused
        self._most_pending = most_pending
        self._clock = clock
        self._asking = asyncio.Lock()
        self._report: SystemReport | None = None
        self._reported_at = self._looked_at = 0.0
        self._facts: DatabaseFacts | None = None

    async def report(self) -> SystemReport:
        """Return how the service fares, now or a moment ago. Raises Unavailable."""
        async with self._asking:
            if self._report is None or self._clock() - self._reported_at >= _FRESH:
                self._report = await self._made()
                self._reported_at = self._clock()
            return self._report

    async def _made(self) -> SystemReport:
        """Ask one after another: a glance must not take the connections of the work."""
        await self._heartbeat.beat()
        backlog = await self._overview.backlog()
        counted = self._subscriptions.by_tenant(backlog.by_integration)
        return SystemReport(
            at=datetime.now(UTC),
            backlog=backlog,
            most_pending=self._most_pending,
            tenants=heapq.nlargest(_MOST_TENANTS, counted.items(), key=lambda each: each[1]),
            oldest_due=await self._overview.oldest_due(but_for=await self._paused()),
            integrations=await self._count_by_state(),
            processes=await self._heartbeat.all(),
            database=await self._database(),
            newest_revision=newest_revision(),
        )

    async def _database(self) -> DatabaseFacts:
        if self._facts is None or self._clock() - self._looked_at >= _FACTS_FRESH:
            self._facts = await read_facts(self._records)
            self._looked_at = self._clock()
        return self._facts
