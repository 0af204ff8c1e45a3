"""How deliveries went, in numbers by the hour or the day, for the integrations that a key sees."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final

from pydantic import Field
from sqlalchemy import ARRAY, Select, Text, any_, cast, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hookline.db.errors import unavailable_when_away
from hookline.db.models import Integration
from hookline.db.queue_models import DayOfRollUps
from hookline.db.statements import statement
from hookline.db.visibility import integrations_seen_by
from hookline.domain.access import Principal
from hookline.domain.statistics import Histogram, Interval, RollUp, percentile
from hookline.errors import FieldProblem, InvalidInput, NotFound
from hookline.history.roll_ups import ALL, counted, decoded
from hookline.history.schemas import IntegrationId, Record, TimestampField

_MOST_DAYS: Final = 50_000  # of integrations, in one answer: each takes some 30 µs to add up
_ADDED_AT_ONCE: Final = 200  # of those, between two looks at what else this process has to do
_LAST_MIDNIGHT: Final = datetime(9999, 12, 31, tzinfo=UTC)  # no bucket behind it has an end
_Add = Callable[[str, datetime, RollUp], None]
"""Takes what was counted of an integration in the hour that begins then."""

_FILTERED: Final = (
    "events that were not queued because of the integration's filter (`filtered`): those count "
    "within some ten seconds. Events that it did not get for another reason (`not_selected`, "
    "`disabled`, `licence`, `unknown_type`) are not counted."
)
_UNCOUNTED = text(statement("history/uncounted_settlements"))


class Percentiles(Record):
    """How long things took, each within 5 % of the true value; `null` where there were none."""

    p50: int | None = Field(ge=0, description="Milliseconds that half of them did not exceed.")
    p99: int | None = Field(ge=0, description="Milliseconds that 99 in 100 did not exceed.")


class StatisticsBucket(Record):
    """What was settled in one hour or on one day."""

    start: TimestampField = Field(description="When it begins: the full hour, or midnight, in UTC.")
    delivered: int = Field(ge=0, description="Deliveries that ended as `delivered`.")
    failed: int = Field(ge=0, description="Deliveries that ended as `failed`.")
    skipped: int = Field(
        ge=0,
        description="Deliveries that were queued and ended as `skipped`, and " + _FILTERED,
    )
    retries: int = Field(ge=0, description="Attempts that were not their delivery's first.")
    attempt_ms: Percentiles = Field(description="How long attempts took, whatever their outcome.")
    latency_ms: Percentiles = Field(
        description="From when a delivery was queued to the end of the attempt that delivered it."
    )


class Statistics(Record):
    """How deliveries went, for charts."""

    interval: Interval
    buckets: list[StatisticsBucket] = Field(
        description="Every bucket of the period, oldest first; those without deliveries too."
    )


_Counts = list[Annotated[int, Field(ge=0)]]
_COUNTS = "One number for each of `starts`: deliveries that ended "


class IntegrationCounts(Record):
    """How one integration's deliveries ended, bucket by bucket."""

    integration_id: IntegrationId
    delivered: _Counts = Field(description=_COUNTS + "as `delivered`.")
    failed: _Counts = Field(description=_COUNTS + "as `failed`.")
    skipped: _Counts = Field(description=_COUNTS + "as `skipped`, and " + _FILTERED)


class StatisticsByIntegration(Record):
    """How the deliveries of several integrations ended, for small charts in lists."""

    interval: Interval
    starts: list[TimestampField] = Field(
        description="When each bucket begins, oldest first: the full hour, or midnight, in UTC."
    )
    items: list[IntegrationCounts] = Field(
        description="By id. An integration without deliveries has zeros; one that the key does not "
        "see is left out."
    )


@dataclass(frozen=True, slots=True)
class WantedStatistics:
    """Which settlements are asked about; None: whatever it is."""

    interval: Interval
    since: datetime | None = None
    until: datetime | None = None
    integration_id: str | None = None
    integration_ids: frozenset[str] | None = None
    pbx: str | None = None
    company: str | None = None

    def starts(self, now: datetime) -> list[datetime]:
        """Return the starts of all buckets that touch the period; raise InvalidInput."""
        length = self.interval.length
        until = min(self.until or now, _LAST_MIDNIGHT)
        try:
            since = self.since or until - length * self.interval.usual
            first, last = self.interval.start(since), self.interval.start(until)
            end = last if last == until.astimezone(UTC) else last + length
        except OverflowError as error:
            raise InvalidInput(
                FieldProblem("since", "There is no such time to ask for.")
            ) from error
        if since >= until:
            raise InvalidInput(FieldProblem("since", "Send a time before `until`."))
        count = (end - first) // length
        if count > self.interval.most:
            raise InvalidInput(
                FieldProblem(
                    "since",
                    f"That would be {count:,} buckets of one {self.interval.value}; ask for"
                    f" {self.interval.most} at the most.",
                )
            )
        return [first + length * number for number in range(count)]


class StatisticsReader:
    """Reads the roll-ups, and what is settled but not yet counted into them. Raises Unavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self, principal: Principal, wanted: WantedStatistics) -> Statistics:
        """Return every bucket of the period, oldest first. Raises NotFound and InvalidInput.

        It is exact of deliveries: a settlement counts as soon as it is written, and once. Events
        that filters refused count once they are flushed.
        """
        starts = wanted.starts(datetime.now(UTC))
        found: dict[datetime, RollUp] = {start: RollUp() for start in starts}

        def add(_: str, hour: datetime, roll_up: RollUp) -> None:
            if (bucket := found.get(wanted.interval.start(hour))) is not None:
                bucket.add(roll_up)

        await self._read(principal, wanted, starts, add)
        buckets = [_bucket(start, roll_up) for start, roll_up in found.items()]
        return Statistics(interval=wanted.interval, buckets=buckets)

    async def read_each(
        self, principal: Principal, wanted: WantedStatistics
    ) -> StatisticsByIntegration:
        """Return the counts of each integration, by id; of one that nobody sees, nothing.

        Raises InvalidInput. They are as exact as those of `read`.
        """
        starts = wanted.starts(datetime.now(UTC))
        places = {start: place for place, start in enumerate(starts)}
        counts: dict[str, IntegrationCounts] = {}

        def add(integration_id: str, hour: datetime, roll_up: RollUp) -> None:
            place = places.get(wanted.interval.start(hour))
            if place is not None and (known := counts.get(integration_id)) is not None:
                known.delivered[place] += roll_up.delivered
                known.failed[place] += roll_up.failed
                known.skipped[place] += roll_up.skipped

        def name(integrations: Sequence[str]) -> None:
            for each in sorted(integrations):
                zeros = [[0] * len(starts) for _ in range(3)]
                counts[each] = IntegrationCounts(
                    integration_id=each, delivered=zeros[0], failed=zeros[1], skipped=zeros[2]
                )

        await self._read(principal, wanted, starts, add, name)
        return StatisticsByIntegration(
            interval=wanted.interval, starts=starts, items=list(counts.values())
        )

    async def _read(
        self,
        principal: Principal,
        wanted: WantedStatistics,
        starts: Sequence[datetime],
        add: _Add,
        name: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        """Add up what is stored and what is not counted yet, as of one moment."""
        with unavailable_when_away():
            async with self._engine.connect() as opened:
                connection = await opened.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                integrations = await _integrations(connection, principal, wanted)
                days = _days(starts[0], starts[-1] + wanted.interval.length)
                _refuse_many(len(integrations or [ALL]) * len(days))
                name(integrations or [])
                await _read_stored(connection, integrations, days, add)
                await _read_uncounted(connection, integrations, add)


async def _integrations(
    connection: AsyncConnection, principal: Principal, wanted: WantedStatistics
) -> list[str] | None:
    """Return whose roll-ups are added up, deleted integrations too; None: those of all."""
    filters = {
        Integration.id: wanted.integration_id,
        Integration.pbx: wanted.pbx,
        Integration.company: wanted.company,
    }
    asked = {column: value for column, value in filters.items() if value is not None}
    if principal.is_admin and not asked and wanted.integration_ids is None:
        return None
    query: Select[str] = select(Integration.id).where(integrations_seen_by(principal))
    if wanted.integration_ids is not None:
        query = query.where(Integration.id.in_(wanted.integration_ids))
    for column, value in asked.items():
        query = query.where(column == value)
    found = list(await connection.scalars(query))
    if wanted.integration_id is not None and not found:
        raise NotFound(f"There is no integration {wanted.integration_id[:40]!r}.")
    return found


def _days(first: datetime, end: datetime) -> list[date]:
    last = (end - timedelta(microseconds=1)).date()
    return [first.date() + timedelta(days=day) for day in range((last - first.date()).days + 1)]


def _refuse_many(days: int) -> None:
    if days > _MOST_DAYS:
        raise InvalidInput(
            FieldProblem(
                "since",
                f"That is {days:,} days of all integrations together; ask for {_MOST_DAYS:,} at the"
                " most: a shorter time, or those of one PBX.",
            )
        )


async def _read_stored(
    connection: AsyncConnection,
    integrations: Sequence[str] | None,
    days: Sequence[date],
    add: _Add,
) -> None:
    table = DayOfRollUps
    named = [ALL] if integrations is None else list(integrations)
    query = select(table.integration_id, table.day, table.hours).where(
        table.integration_id == any_(cast(named, ARRAY(Text))),
        table.day.between(days[0], days[-1]),
    )
    read = 0
    async with connection.stream(query) as rows:
        async for integration_id, day, hours in rows:
            for hour, roll_up in decoded(hours).items():
                add(integration_id, datetime.combine(day, time(hour), UTC), roll_up)
            read += 1
            if read % _ADDED_AT_ONCE == 0:
                await asyncio.sleep(0)


async def _read_uncounted(
    connection: AsyncConnection, integrations: Sequence[str] | None, add: _Add
) -> None:
    parameters = {"integrations": None if integrations is None else list(integrations)}
    rows = (await connection.execute(_UNCOUNTED, parameters)).mappings().all()
    for (integration_id, day), hours in counted(rows).items():
        if integration_id != ALL:  # which is the sum of the others
            for hour, roll_up in hours.items():
                add(integration_id, datetime.combine(day, time(hour), UTC), roll_up)


def _bucket(start: datetime, roll_up: RollUp) -> StatisticsBucket:
    return StatisticsBucket(
        start=start,
        delivered=roll_up.delivered,
        failed=roll_up.failed,
        skipped=roll_up.skipped,
        retries=roll_up.retries,
        attempt_ms=_percentiles(roll_up.attempts),
        latency_ms=_percentiles(roll_up.latencies),
    )


def _percentiles(histogram: Histogram) -> Percentiles:
    return Percentiles(p50=percentile(histogram, 0.5), p99=percentile(histogram, 0.99))
