"""The health of integrations, shared by all processes: read whole, changed in steps.

A step that comes too late changes nothing, and its process is told so: of all processes that saw
the same, one alone changes the state, probes, and writes its notice, in the change's transaction.
What a step does is domain.health's to say; times are the database's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Final

from sqlalchemy import Double, Row, case, cast, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.errors import rerunnable
from hookline.db.models import Integration, IntegrationHealth
from hookline.db.statements import notification
from hookline.domain.health import (
    HEALTHY,
    Fail,
    Health,
    HealthRules,
    HealthState,
    Pause,
    Recover,
    take,
    take_probe,
)
from hookline.domain.stored import error_of, health_state_of
from hookline.integrations import notices
from hookline.integrations.revision import Transactions

HEALTH_CHANNEL: Final = "hookline_health"  # NOTIFY says that something changed: a hint

_ONE_WRITER = text("select pg_advisory_xact_lock(7524882318093774953)")  # no deadlocks: one by one

_STATE: Final = case(
    (Integration.enabled, func.coalesce(IntegrationHealth.state, HealthState.HEALTHY)),
    else_=HealthState.DISABLED,
)
_COUNT: Final = (
    select(_STATE, func.count())
    .select_from(Integration)
    .outerjoin(IntegrationHealth, IntegrationHealth.integration_id == Integration.id)
    .where(Integration.deleted_at.is_(None))
    .group_by(_STATE)
)


@dataclass(frozen=True, slots=True)
class Known:
    """One integration that is not healthy; `probe_in` seconds from now a probe may go."""

    health: Health
    probe_in: float = inf


class HealthRecords:
    """The writer of the table `integration_health`; the integrations' service only clears it."""

    def __init__(self, transactions: Transactions, rules: HealthRules) -> None:
        self._transactions = transactions
        self._rules = rules

    async def load(self) -> dict[str, Known]:
        """Return every integration that is not healthy. Raises Unavailable."""
        left = cast(func.extract("epoch", IntegrationHealth.paused_until - func.now()), Double)
        probe_in = case((left.is_(None), inf), (left > self._rules.latest_probe, 0.0), else_=left)
        async with self._transactions.reading() as session:
            rows = (await session.execute(select(IntegrationHealth, probe_in))).all()
        return {row.integration_id: Known(health_of(row), seconds) for row, seconds in rows}

    @rerunnable
    async def take(self, steps: Mapping[str, Fail | Pause | Recover]) -> dict[str, Health]:
        """Take these steps in one transaction; return those that changed something.

        With each comes the health that it led to, and for a recovery the one that it ended.
        Raises Unavailable, and then nothing was changed.
        """
        changed: dict[str, Health] = {}
        async with self._transactions.noting() as session:
            now, rows = await _locked(session, steps)
            failed: dict[str, Health] = {}
            for integration_id, step in steps.items():
                before = health_before(rows, integration_id)
                after = take(before, step, now, self._rules)
                if after == before:
                    continue
                if isinstance(step, Fail):
                    failed[integration_id] = after
                    continue
                row = rows[integration_id]
                if isinstance(step, Recover):
                    changed[integration_id] = before
                    await session.delete(row)
                else:
                    changed[integration_id] = after
                    _write(row, after, now)
            changed |= await _begin_to_fail(session, failed, now)
            if changed:
                await notices.write_notices(session, _to_tell(steps, changed))
                await session.execute(notification(HEALTH_CHANNEL))
        return changed

    @rerunnable
    async def take_probes(self, integration_ids: Sequence[str]) -> set[str]:
        """Ask to probe these; return those that this process, and no other, is to probe now.

        With that the next probe is due after a longer interval, whatever becomes of this one.
        """
        taken: set[str] = set()
        async with self._transactions.noting() as session:
            now, rows = await _locked(session, integration_ids)
            for integration_id, row in rows.items():
                before = health_of(row)
                after = take_probe(before, now, self._rules)
                if after != before:
                    row.paused_until, row.probes = after.paused_until, after.probes
                    taken.add(integration_id)
        return taken


class StateCounts:
    """Counts integrations by state, as all processes know them."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def by_state(self) -> dict[HealthState, int]:
        """Return how many integrations are in each state, none left out. Raises Unavailable."""
        async with self._transactions.reading() as session:
            rows = (await session.execute(_COUNT)).all()
        counts = dict.fromkeys(HealthState, 0)
        for state, count in rows:
            counts[health_state_of(state)] += count
        return counts

    async def paused(self) -> set[str]:
        """Return the integrations that are paused. Raises Unavailable."""
        query = select(IntegrationHealth.integration_id)
        async with self._transactions.reading() as session:
            rows = await session.scalars(query.where(IntegrationHealth.state == HealthState.PAUSED))
        return set(rows)


async def find_health(
    session: AsyncSession, integration_ids: Sequence[str]
) -> dict[str, IntegrationHealth]:
    """Return the rows of those integrations that are not healthy."""
    query = select(IntegrationHealth).where(IntegrationHealth.integration_id.in_(integration_ids))
    return {row.integration_id: row for row in await session.scalars(query)}


async def clear_health(session: AsyncSession, integration_id: str) -> bool:
    """Delete the health of an integration, in the caller's transaction; every process learns it.

    Tells whether there was anything to forget.
    """
    cleared = await session.execute(
        delete(IntegrationHealth)
        .where(IntegrationHealth.integration_id == integration_id)
        .returning(IntegrationHealth.integration_id)
    )
    if cleared.first() is None:
        return False
    await session.execute(notification(HEALTH_CHANNEL))
    return True


def health_before(rows: Mapping[str, IntegrationHealth], integration_id: str) -> Health:
    """Return the health of one integration, of those that `find_health` was asked about."""
    row = rows.get(integration_id)
    return HEALTHY if row is None else health_of(row)


def health_of(row: IntegrationHealth | Row[tuple[object, ...]]) -> Health:
    """Return what a row says."""
    return Health(
        state=health_state_of(row.state),
        failing_since=row.failing_since,
        last_error=error_of(row.last_error),
        paused_until=row.paused_until,
        probes=row.probes,
    )


def _to_tell(
    steps: Mapping[str, Fail | Pause | Recover], changed: Mapping[str, Health]
) -> list[notices.Notice]:
    told: list[notices.Notice] = []
    for integration_id, health in changed.items():
        match steps[integration_id]:
            case Pause():
                told.append(notices.paused(integration_id, health))
            case Recover() if health.state is HealthState.PAUSED:
                told.append(notices.recovered(integration_id, health))
            case _:
                continue
    return told


async def _locked(
    session: AsyncSession, integration_ids: Collection[str]
) -> tuple[datetime, dict[str, IntegrationHealth]]:
    """Return the time, by the database's clock, and these rows, for nobody else to change."""
    await session.execute(_ONE_WRITER)
    now = (await session.execute(select(func.now()))).scalar_one()
    query = select(IntegrationHealth).where(IntegrationHealth.integration_id.in_(integration_ids))
    rows = await session.scalars(query.with_for_update())
    return now, {row.integration_id: row for row in rows}


def _write(row: IntegrationHealth, health: Health, now: datetime) -> None:
    row.state, row.last_error, row.last_error_at = health.state, health.last_error, now
    row.paused_until, row.probes = health.paused_until, health.probes


async def _begin_to_fail(
    session: AsyncSession, failed: Mapping[str, Health], now: datetime
) -> dict[str, Health]:
    """Write those that are enabled, and return them; who is disabled or deleted does not fail."""
    if not failed:
        return {}
    enabled = await session.scalars(
        select(Integration.id).where(
            Integration.id.in_(failed), Integration.enabled, Integration.deleted_at.is_(None)
        )
    )
    rows = [
        {
            "integration_id": each,
            "state": failed[each].state,
            "failing_since": failed[each].failing_since,
            "last_error": failed[each].last_error,
            "last_error_at": now,
        }
        for each in enabled
    ]
    if not rows:
        return {}
    written = insert(IntegrationHealth).values(rows).on_conflict_do_nothing()
    ids = await session.scalars(written.returning(IntegrationHealth.integration_id))
    return {each: failed[each] for each in ids}
