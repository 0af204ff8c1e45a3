"""How integrations fare, as all processes know it: read whole, and changed in steps.

A step that comes too late changes nothing, and its process is told so: of all processes that saw
the same, one alone changes the state, probes, and announces it, in the transaction of the change.
Times are the database's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from sqlalchemy import Double, Row, TextClause, case, cast, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.errors import rerunnable
from hookline.db.models import Integration, IntegrationHealth
from hookline.domain import notices
from hookline.domain.health import HEALTHY, Fail, Health, HealthRules, HealthState, Pause, Recover
from hookline.domain.stored import error_of, health_state_of
from hookline.integrations.outbox import announce
from hookline.integrations.revision import Transactions

HEALTH_CHANNEL: Final = "hookline_health"  # NOTIFY says that something changed: a hint

_ONE_WRITER = text("select pg_advisory_xact_lock(7524882318093774953)")  # no deadlocks: one by one
_TELL = text("select pg_notify(:channel, '')")
_COLUMNS = "integration_id, state, failing_since, last_error, paused_until, probes"
_FAIL = text(
    f"""
    insert into integration_health (
        integration_id, state, failing_since, last_error, last_error_at
    )
    select failed.id, 'failing', least(failed.since, now()), failed.error, now()
    from unnest(cast(:ids as text[]), cast(:since as timestamptz[]), cast(:errors as text[]))
        as failed (id, since, error)
    join integrations on integrations.id = failed.id
        and integrations.enabled and integrations.deleted_at is null
    on conflict (integration_id) do nothing
    returning {_COLUMNS}
    """  # noqa: S608 - our own column names
)
_PAUSE = text(
    f"""
    update integration_health
    set
        state = 'paused',
        last_error = failed.error,
        last_error_at = now(),
        paused_until = now() + make_interval(secs => cast(:interval as float8)),
        probes = 0
    from unnest(cast(:ids as text[]), cast(:errors as text[])) as failed (id, error)
    where integration_id = failed.id and state = 'failing'
    returning {_COLUMNS}
    """  # noqa: S608 - our own column names
)
_RECOVER = text(
    f"""
    delete from integration_health
    where integration_id = any(cast(:ids as text[]))
    returning {_COLUMNS}
    """  # noqa: S608 - our own column names
)
_PROBE = text(
    """
    update integration_health
    set
        probes = probes + 1,
        paused_until = now() + make_interval(secs => least(
            cast(:longest as float8),
            cast(:first as float8) * power(2, least(probes + 1, 30))
        ))
    where integration_id = any(cast(:ids as text[]))
        and (
            paused_until <= now()
            or paused_until > now() + make_interval(secs => cast(:latest as float8))
        )
    returning integration_id
    """
)
_SLACK = 60.0  # seconds beyond the longest interval: then the clock went back since the last probe

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
        probe_in = case((left.is_(None), inf), (left > self._latest_probe, 0.0), else_=left)
        async with self._transactions.reading() as session:
            rows = (await session.execute(select(IntegrationHealth, probe_in))).all()
        return {row.integration_id: Known(health_of(row), seconds) for row, seconds in rows}

    @rerunnable
    async def take(self, steps: Mapping[str, Fail | Pause | Recover]) -> dict[str, Health]:
        """Take these steps in one transaction; return those that changed something.

        With each comes the health that it led to, and for a recovery the one that it ended.
        Raises Unavailable, and then nothing was changed.
        """
        failed = {key: step for key, step in steps.items() if isinstance(step, Fail)}
        paused = {key: step for key, step in steps.items() if isinstance(step, Pause)}
        recovered = [key for key, step in steps.items() if isinstance(step, Recover)]
        changed: dict[str, Health] = {}
        async with self._transactions.noting() as session:
            await session.execute(_ONE_WRITER)
            if recovered:
                changed |= await _run(session, _RECOVER, ids=recovered)
            if failed:
                changed |= await _run(
                    session,
                    _FAIL,
                    ids=list(failed),
                    since=[step.since for step in failed.values()],
                    errors=[step.error for step in failed.values()],
                )
            if paused:
                changed |= await _run(
                    session,
                    _PAUSE,
                    ids=list(paused),
                    errors=[step.error for step in paused.values()],
                    interval=self._rules.probe_interval(0),
                )
            if changed:
                await announce(session, _to_tell(steps, changed))
                await session.execute(_TELL, {"channel": HEALTH_CHANNEL})
        return changed

    @rerunnable
    async def take_probes(self, integration_ids: Sequence[str]) -> set[str]:
        """Ask to probe these; return those that this process, and no other, is to probe now.

        With that the next probe is due after a longer interval, whatever becomes of this one.
        """
        async with self._transactions.noting() as session:
            await session.execute(_ONE_WRITER)
            taken = await session.execute(
                _PROBE,
                {
                    "ids": list(integration_ids),
                    "first": self._rules.first_probe,
                    "longest": self._rules.longest_probe,
                    "latest": self._latest_probe,
                },
            )
            return set(taken.scalars())

    @property
    def _latest_probe(self) -> float:
        return self._rules.longest_probe + _SLACK


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
    """Forget how an integration fared, in the caller's transaction; every process learns it.

    Tells whether there was anything to forget.
    """
    cleared = await session.execute(
        delete(IntegrationHealth)
        .where(IntegrationHealth.integration_id == integration_id)
        .returning(IntegrationHealth.integration_id)
    )
    if cleared.first() is None:
        return False
    await session.execute(_TELL, {"channel": HEALTH_CHANNEL})
    return True


def health_before(rows: Mapping[str, IntegrationHealth], integration_id: str) -> Health:
    """Return how one integration fares, of those that `find_health` was asked about."""
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


async def _run(
    session: AsyncSession, statement: TextClause, **parameters: object
) -> dict[str, Health]:
    rows = await session.execute(statement, parameters)
    return {row.integration_id: health_of(row) for row in rows}
