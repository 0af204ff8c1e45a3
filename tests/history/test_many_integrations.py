"""A company of many integrations gets whole lists, however far everybody's are looked through."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from factories import a_principal
from hookline.db import connections
from hookline.db.partitions import of_days
from hookline.domain.access import Role
from hookline.domain.deliveries import DeliveryStatus
from hookline.history import repository
from hookline.history.ranges import MANY_SCANS, Period
from hookline.history.repository import History
from hookline.history.statements import WantedDeliveries

NOW = datetime.now(UTC)
OWN, OTHERS = MANY_SCANS + 20, 80  # integrations
FILL = """
create function id_of(number int) returns uuid language sql immutable as $$
    select (
        lpad(to_hex(NOW - number * 60000::bigint), 12, '0')
        || '7000' || '8000' || lpad(to_hex(number), 12, '0')
    )::uuid
$$;
insert into integrations (
    id, sequence, pbx, company, company_vouched, name, enabled, type, url, events, version, revision
)
select
    'int' || n, id_of(n), 'pbx-' || n, case when n < OWN then 'many' else 'others' end, true, 'one',
    true, 'WEBHOOK', '', '{}', 1, 1
from generate_series(0, OWN + OTHERS - 1) as n;
insert into deliveries (id, event_id, integration_id, type, status, attempts, finished_at)
select
    id_of(n), id_of(n), 'int' || n % (OWN + OTHERS),
    case when n % (OWN + OTHERS) >= OWN then 'foreign' else 'type-' || n % 7 end,
    case when n % 30 = 0 then 'failed' when n % 777 = 0 then 'skipped' else 'delivered' end, 1,
    now()
from generate_series(1, 4000) as n
where n % 9 <> 0;
insert into pending (id, event_id, integration_id, type, attempts, claims, once, due_at)
select
    id_of(n), id_of(n), 'int' || n % (OWN + OTHERS), 'type-' || n % 7, 0, 0, false, now()
from generate_series(1, 2000) as n
where n % 9 = 0;
"""
OF_THE_COMPANY = """
select id from (
    select id, integration_id, status, type from deliveries
    union all
    select id, integration_id, 'pending', type from pending
) as every
where integration_id in (select id from integrations where company = 'many')
    and ($1::text[] = '{}' or status = any($1)) and ($2::text is null or type = $2)
    and ($3::uuid is null or id < $3)
order by id desc
limit $4
"""
STATUSES = (
    (),
    (DeliveryStatus.FAILED,),
    (DeliveryStatus.SKIPPED, DeliveryStatus.PENDING),
    (DeliveryStatus.PENDING,),
    (DeliveryStatus.DELIVERED,),
)
LIMIT = 20


@pytest.fixture(scope="module")
async def filled(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    for partition in of_days((NOW - timedelta(days=day)).date() for day in range(4)):
        await connection.execute(partition.create())
    numbers = {"NOW": int(NOW.timestamp() * 1000), "OWN": OWN, "OTHERS": OTHERS}
    statement = FILL
    for name, number in numbers.items():
        statement = statement.replace(name, str(number))
    await connection.execute(statement)
    yield connection
    await connection.close()


@pytest.fixture
async def history(database: str) -> AsyncIterator[History]:
    engine = connections.engine(database, pool_size=1)
    yield History(engine)
    await engine.dispose()


@pytest.mark.parametrize("looked_through", [(500, 5_000), (3, 40)])
@pytest.mark.parametrize("type_", [None, "type-3", "foreign", "rare"])
async def test_its_lists_are_complete(
    filled: asyncpg.Connection,
    history: History,
    monkeypatch: pytest.MonkeyPatch,
    looked_through: tuple[int, ...],
    type_: str | None,
) -> None:
    monkeypatch.setattr(repository, "_LOOKED_THROUGH", looked_through)
    company = a_principal(Role.MANAGER, company="many")
    for statuses in STATUSES:
        wanted = WantedDeliveries(statuses=frozenset(statuses), type=type_, created=Period())
        before = None
        for _ in range(3):
            named = [status.value for status in statuses]
            rows = await filled.fetch(OF_THE_COMPANY, named, type_, before, LIMIT)
            found = await history.deliveries(company, wanted, before=before, limit=LIMIT)
            assert [each.id for each in found] == [row["id"] for row in rows], statuses
            if len(rows) < LIMIT:
                break
            before = rows[-1]["id"]
