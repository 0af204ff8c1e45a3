"""The report on the whole service: its processes, its backlog, rates and database."""

import asyncio
import heapq
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline import __version__
from hookline.db.errors import rerunnable
from hookline.db.inspection import DatabaseFacts, read_facts
from hookline.db.migrate import newest_revision
from hookline.db.models import ServiceProcess
from hookline.domain.access import Tenant
from hookline.domain.health import HealthState
from hookline.domain.ids import new_uuid
from hookline.errors import Unavailable
from hookline.integrations.revision import Transactions
from hookline.integrations.subscriptions import Subscriptions
from hookline.logs import get_logger
from hookline.metrics.counters import Totals
from hookline.queue.overview import Backlog, OldestDue, QueueOverview

BEAT_EVERY: Final = 5.0  # seconds between two writes of a process's row
_SILENT_AFTER: Final = 4 * BEAT_EVERY  # seconds until a process that writes nothing is not listed
_OVER: Final = 60.0  # seconds that rates are averages over
_LOG = get_logger(__name__)
_FRESH: Final = 1.0  # seconds that a report is used for, so that many who look cost what one does
_FACTS_FRESH: Final = 30.0  # seconds; the size of a database is a look at each of its files
_MOST_TENANTS: Final = 10  # that have the most waiting


@dataclass(frozen=True, slots=True)
class Held:
    """What one engine has in hand."""

    leased: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """How many a second, averaged over the last minute or since the start."""

    accepted: float = 0.0
    delivered: float = 0.0
    failed: float = 0.0

    def __add__(self, other: "Rates") -> "Rates":
        return Rates(
            self.accepted + other.accepted,
            self.delivered + other.delivered,
            self.failed + other.failed,
        )


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process as it last said of itself."""

    id: UUID
    host: str
    pid: int
    version: str
    engine: bool
    api: bool
    started_at: datetime
    seen_at: datetime
    rates: Rates
    held: Held


class Heartbeat:
    """Keeps this process's row; its owner has it written every `BEAT_EVERY` seconds.

    `totals` gives what the process counted since its start, `held` what its engine holds (None:
    it has no engine).
    """

    def __init__(
        self,
        transactions: Transactions,
        totals: Callable[[], Totals],
        *,
        held: Callable[[], Held] | None,
        api: bool,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._transactions = transactions
        self._totals = totals
        self._held = held
        self._clock = clock
        self._samples: deque[tuple[float, Totals]] = deque([(clock(), totals())])
        self._fixed = {
            "id": new_uuid(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "engine": held is not None,
            "api": api,
            "started_at": datetime.now(UTC),
        }

    @rerunnable
    async def beat(self) -> None:
        """Write the row, and remove rows of processes that fell silent. Raises Unavailable."""
        rates, held = self._rates(), self._held() if self._held else Held()
        changing = {
            "seen_at": func.clock_timestamp(),
            "accepted_rate": rates.accepted,
            "delivered_rate": rates.delivered,
            "failed_rate": rates.failed,
            "leased": held.leased,
            "in_flight": held.in_flight,
        }
        row = insert(ServiceProcess).values(**self._fixed, **changing)
        async with self._transactions.noting() as session:
            await session.execute(row.on_conflict_do_update(index_elements=["id"], set_=changing))
            await session.execute(delete(ServiceProcess).where(_is_silent()))

    async def leave(self) -> None:
        """Remove the row: this process ends."""
        try:
            async with self._transactions.noting() as session:
                gone = ServiceProcess.id == self._fixed["id"]
                await session.execute(delete(ServiceProcess).where(gone))
        except Unavailable:
            _LOG.warning("processes.database_away")  # it falls silent, and goes with that

    async def all(self) -> Sequence[ProcessState]:
        """Return the processes that wrote their rows lately, the oldest first."""
        query = select(ServiceProcess).where(~_is_silent()).order_by(ServiceProcess.started_at)
        async with self._transactions.reading() as session:
            return [_state(row) for row in await session.scalars(query)]

    def _rates(self) -> Rates:
        now, totals = self._clock(), self._totals()
        while len(self._samples) > 1 and self._samples[1][0] <= now - _OVER:
            self._samples.popleft()
        began, before = self._samples[0]
        if now >= self._samples[-1][0] + BEAT_EVERY / 2:
            self._samples.append((now, totals))
        over = max(now - began, 1.0)
        return Rates(
            (totals.accepted - before.accepted) / over,
            (totals.delivered - before.delivered) / over,
            (totals.failed - before.failed) / over,
        )


def _is_silent() -> ColumnElement[bool]:
    since = func.make_interval(0, 0, 0, 0, 0, 0, _SILENT_AFTER)
    return ServiceProcess.seen_at < func.clock_timestamp() - since


def _state(row: ServiceProcess) -> ProcessState:
    return ProcessState(
        id=row.id,
        host=row.host,
        pid=row.pid,
        version=row.version,
        engine=row.engine,
        api=row.api,
        started_at=row.started_at,
        seen_at=row.seen_at,
        rates=Rates(row.accepted_rate, row.delivered_rate, row.failed_rate),
        held=Held(row.leased, row.in_flight),
    )


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
        """Return the report, at most a second old. Raises Unavailable."""
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
