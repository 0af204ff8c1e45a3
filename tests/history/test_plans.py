"""Every statement of the read side uses indexes, over tables of many days."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Select
from sqlalchemy.dialects import postgresql

from factories import a_principal
from hookline.db.partitions import of_days
from hookline.domain.access import Principal, Role
from hookline.domain.deliveries import DeliveryStatus
from hookline.domain.ids import lowest_uuid
from hookline.history import statements
from hookline.history.ranges import IdRange, Period
from hookline.history.statements import WantedDeliveries, WantedEvents

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAYS = [(NOW - timedelta(days=day)).date() for day in range(4)]
LATEST = lowest_uuid(NOW)
TENANT = a_principal(Role.MANAGER, pbx="pbx-7")
COMPANY = a_principal(Role.MANAGER, company="company-7")
ADMIN = a_principal()
SINCE = NOW - timedelta(hours=1)

FILL = """
create function id_of(number int) returns uuid language sql immutable as $$
    select (
        lpad(to_hex(NOW - number * 15000::bigint), 12, '0')
        || '7000' || '8000' || lpad(to_hex(number), 12, '0')
    )::uuid
$$;
insert into integrations (
    id, sequence, pbx, company, company_vouched, name, enabled, type, url, events, max_in_flight,
    version, revision
)
select
    'int' || lpad(n::text, 3, '0'), id_of(n), 'pbx-' || n, 'company-' || n, true, 'one', true,
    'WEBHOOK', '', '{}', 16, 1, 1
from generate_series(0, 199) as n;
insert into events (id, pbx, company, type, subject, time, payload, splice)
select
    id_of(n), 'pbx-' || n % 200, 'company-' || n % 200, 'type-' || n % 20, 'subject-' || n / 5, n,
    '{}', 1
from generate_series(1, 20000) as n;
insert into deliveries (
    id, event_id, integration_id, type, status, reason, attempts, finished_at
)
select
    id_of(n), id_of(n), 'int' || lpad((n % 200)::text, 3, '0'), 'type-' || n % 20,
    case when n % 50 = 0 then 'failed' else 'delivered' end, null, 1, now()
from generate_series(1, 20000) as n;
insert into attempts (delivery_id, number, started_at, duration_ms, outcome)
select id_of(n), 1, now(), 1, 'delivered' from generate_series(1, 20000) as n;
insert into pending (id, event_id, integration_id, type, attempts, claims, once, due_at)
select
    id_of(n), id_of(n), 'int' || lpad((n % 200)::text, 3, '0'), 'type-1', 0, 0, false, now()
from generate_series(1, 20000) as n;
analyze;
"""


@pytest.fixture(scope="module")
async def filled(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    for partition in of_days(DAYS):
        await connection.execute(partition.create())
    await connection.execute(FILL.replace("NOW", str(int(NOW.timestamp() * 1000))))
    yield connection
    await connection.close()


async def plan(connection: asyncpg.Connection, query: Select[*tuple[Any, ...]]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    compiled = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return "\n".join(row[0] for row in await connection.fetch(f"explain {compiled}"))


@pytest.mark.parametrize("integrations", [None, ["int007"], ["int007", "int008"]])
@pytest.mark.parametrize(
    "wanted",
    [
        WantedDeliveries(),
        WantedDeliveries(statuses=frozenset({DeliveryStatus.FAILED})),
        WantedDeliveries(type="type-3", created=Period(since=SINCE)),
    ],
)
async def test_lists_of_deliveries_use_indexes(
    filled: asyncpg.Connection, integrations: list[str] | None, wanted: WantedDeliveries
) -> None:
    for before in (None, LATEST):
        query = statements.deliveries(integrations, wanted, wanted.created.ids(before), 51)
        found = await plan(filled, query)
        assert "Seq Scan on deliveries" not in found, found
        query = statements.pending(integrations, wanted, wanted.created.ids(before), 51)
        found = await plan(filled, query)
        assert "Seq Scan on pending" not in found, found


@pytest.mark.parametrize(
    ("integrations", "index"),
    [
        (None, "pending_waiting_type_idx"),
        (["int007"], "pending_waiting_integration_type_idx"),
        (["int007", "int008"], "pending_waiting_integration_type_idx"),
    ],
)
async def test_what_waits_of_a_type_is_found_by_it_and_what_is_leased_apart(
    filled: asyncpg.Connection, integrations: list[str] | None, index: str
) -> None:
    """By their ids alone, all that waits would be read for a type that nothing of it is of."""
    for type_ in ("type-1", "rare"):
        query = statements.pending(integrations, WantedDeliveries(type=type_), IdRange(), 51)
        found = await plan(filled, query)
        scans = re.findall(r"using (pending_\w+)", found)
        assert len(scans) == 2, found
        assert index in scans, found
        assert any(name.startswith("pending_leased") for name in scans), found


@pytest.mark.parametrize("principal", [ADMIN, TENANT, COMPANY])
@pytest.mark.parametrize(
    "wanted",
    [
        WantedEvents(),
        WantedEvents(pbx="pbx-7"),
        WantedEvents(company="company-7"),
        WantedEvents(subject="subject-7"),
        WantedEvents(type="type-3", accepted=Period(since=SINCE)),
        WantedEvents(type="rare"),
        WantedEvents(pbx="pbx-7", type="rare"),
    ],
)
async def test_lists_of_events_use_indexes(
    filled: asyncpg.Connection, principal: Principal, wanted: WantedEvents
) -> None:
    found = await plan(filled, statements.events(principal, wanted, wanted.accepted.ids(), 51))
    assert "Seq Scan on events" not in found, found


@pytest.mark.parametrize(("principal", "column"), [(TENANT, "pbx"), (COMPANY, "company")])
async def test_events_of_a_type_are_found_by_it_however_rare_it_is_there(
    filled: asyncpg.Connection, principal: Principal, column: str
) -> None:
    """Another index would have all of a tenant's events read for a type that it never gets."""
    for type_ in ("type-7", "type-8", "rare"):
        query = statements.events(principal, WantedEvents(type=type_), IdRange(), 51)
        found = await plan(filled, query)
        assert f"_{column}_type_id_idx" in found, found
        assert "_id_type_idx" not in found, found
        assert f"{column} =" not in found, found  # it would keep the row from bounding the scan


@pytest.mark.parametrize("minutes", [1, 60, 540])
async def test_a_short_period_is_read_through_the_tenants_own_index(
    filled: asyncpg.Connection, minutes: int
) -> None:
    """By ids alone, everybody's rows of the period would be read, for each of its integrations."""
    until = NOW - timedelta(hours=2)
    period = Period(since=until - timedelta(minutes=minutes), until=until)
    delivered = frozenset({DeliveryStatus.DELIVERED})
    for wanted in (
        WantedDeliveries(created=period),
        WantedDeliveries(statuses=delivered, created=period),
        WantedDeliveries(type="type-3", created=period),
    ):
        query = statements.deliveries(["int007", "int008"], wanted, wanted.created.ids(), 51)
        found = await plan(filled, query)
        assert "_integration_id_" in found, found
        assert "_pkey" not in found, found
        assert "_20260309" not in found, found
    for principal in (TENANT, COMPANY):
        query = statements.events(principal, WantedEvents(), period.ids(), 51)
        found = await plan(filled, query)
        assert "_pkey on events" not in found, found


@pytest.mark.parametrize("principal", [ADMIN, TENANT, COMPANY])
async def test_a_subject_is_found_by_itself_whatever_is_asked_besides(
    filled: asyncpg.Connection, principal: Principal
) -> None:
    """Without statistics, as of a day that has just begun, a tenant seems to have few events."""
    for wanted in (
        WantedEvents(subject="subject-7"),
        WantedEvents(subject="subject-7", type="type-3"),
        WantedEvents(subject="subject-7", pbx="pbx-7", company="company-7"),
    ):
        query = statements.events(principal, wanted, IdRange(), 51)
        found = await plan(filled, query)
        scans = re.findall(r"using (events_\w+)", found)
        indexes = {re.sub(r"events_\d+_", "", name) for name in scans}
        assert indexes <= {"subject_id_idx"}, found
        filters = [line for line in found.splitlines() if "Filter:" in line]
        filters = [line for line in filters if "deleted_at" not in line]  # of a PBX's record
        assert not [line for line in filters if re.search(r"\b(pbx|company|type) = '", line)], found


async def test_events_that_belong_to_somebody_else_are_none(filled: asyncpg.Connection) -> None:
    for principal in (TENANT, COMPANY):
        for wanted in (WantedEvents(pbx="pbx-8"), WantedEvents(company="company-8")):
            query = statements.events(principal, wanted, IdRange(), 51)
            dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
            sql = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
            assert await filled.fetch(str(sql)) == []


async def test_single_events_and_deliveries_touch_one_partition(filled: asyncpg.Connection) -> None:
    for query in (
        statements.event(TENANT, LATEST),
        statements.delivery(TENANT, LATEST),
        statements.attempts([LATEST]),
    ):
        found = await plan(filled, query)
        assert "Seq Scan on" not in found.replace("Seq Scan on integrations", ""), found
        assert "_20260309" not in found, found
    found = await plan(filled, statements.deliveries_of_event(LATEST, IdRange(LATEST)))
    assert "Seq Scan" not in found, found
    assert "_20260309" not in found, found


async def test_a_period_leaves_other_days_out(filled: asyncpg.Connection) -> None:
    wanted = WantedEvents(accepted=Period(since=SINCE, until=NOW))
    found = await plan(filled, statements.events(ADMIN, wanted, wanted.accepted.ids(), 51))
    assert "events_20260310" in found
    assert "events_20260309" not in found
