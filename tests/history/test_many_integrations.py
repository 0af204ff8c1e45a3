"""Lists are whole, a company's of many integrations too, however far everybody's are looked at."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from factories import a_principal
from hookline.db import connections
from hookline.db.partitions import of_days
from hookline.domain.access import Principal, Role
from hookline.domain.deliveries import DeliveryStatus
from hookline.history import ranges, repository
from hookline.history.ranges import MANY_SCANS
from hookline.history.repository import History
from hookline.history.statements import WantedDeliveries, WantedEvents

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
insert into pending (
    id, event_id, integration_id, type, attempts, claims, once, due_at, lease, leased_until
)
select
    id_of(n), id_of(n), 'int' || n % (OWN + OTHERS), 'type-' || n % 7, 0, 0, false, now(),
    case when n % 4 = 0 then 1 end, case when n % 4 = 0 then now() + interval '1 min' end
from generate_series(1, 2000) as n
where n % 9 = 0;
"""
EXPECTED = """
select id from (
    select id, integration_id, status, type from deliveries
    union all
    select id, integration_id, 'pending', type from pending
) as every
where integration_id in (select id from integrations where $5::text is null or $5 in (company, id))
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


@pytest.fixture(params=[(500, 5_000), (3, 40)], ids=str)
def looked_through(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many rows a page looks through: more than there are, and few."""
    monkeypatch.setattr(repository, "_LOOKED_THROUGH", request.param)


@pytest.mark.usefixtures("looked_through")
@pytest.mark.parametrize("type_", [None, "type-3", "foreign", "rare"])
async def test_its_lists_are_complete(
    filled: asyncpg.Connection, history: History, type_: str | None
) -> None:
    company = a_principal(Role.MANAGER, company="many")
    await lists_are_complete(filled, history, company, WantedDeliveries(type=type_), "many")


@pytest.mark.parametrize("one", [None, "int7"])
@pytest.mark.parametrize("type_", ["type-3", "rare"])
async def test_an_administrators_lists_are_complete(
    filled: asyncpg.Connection, history: History, one: str | None, type_: str
) -> None:
    await lists_are_complete(filled, history, a_principal(), WantedDeliveries(one, type=type_), one)


async def lists_are_complete(
    filled: asyncpg.Connection,
    history: History,
    caller: Principal,
    wanted: WantedDeliveries,
    whose: str | None,
) -> None:
    """Compare the first pages of every status with all rows of a company, an integration or all."""
    for statuses in STATUSES:
        before = None
        for _ in range(3):
            named = [status.value for status in statuses]
            rows = await filled.fetch(EXPECTED, named, wanted.type, before, LIMIT, whose)
            asked = replace(wanted, statuses=frozenset(statuses))
            found = await history.deliveries(caller, asked, before=before, limit=LIMIT)
            assert [each.id for each in found.items] == [row["id"] for row in rows], statuses
            assert found.left_off is None
            if len(rows) < LIMIT:
                break
            before = rows[-1]["id"]


@pytest.mark.parametrize("type_", [None, "type-3", "foreign", "rare"])
async def test_a_page_that_is_cut_short_is_gone_on_with(
    filled: asyncpg.Connection,
    history: History,
    monkeypatch: pytest.MonkeyPatch,
    type_: str | None,
) -> None:
    """Here after a day each: nothing is missed, nothing comes twice, the last page says so."""
    monkeypatch.setattr(repository, "_LOOKED_THROUGH", (3, 5))
    monkeypatch.setattr(ranges, "_MOST_SCANS", 1)
    company = a_principal(Role.MANAGER, company="many")
    short = 0
    for statuses in STATUSES:
        named = [status.value for status in statuses]
        rows = await filled.fetch(EXPECTED, named, type_, None, 10_000, "many")
        wanted = WantedDeliveries(statuses=frozenset(statuses), type=type_)
        whole = []
        before = None
        while True:
            found = await history.deliveries(company, wanted, before=before, limit=LIMIT)
            whole += [each.id for each in found.items]
            short += found.left_off is not None
            if found.left_off is None and len(found.items) < LIMIT:
                break
            before = found.left_off or whole[-1]
        assert whole == [row["id"] for row in rows], statuses
    assert short or type_ == "rare"


EVENTS = """
insert into events (id, pbx, company, type, subject, time, payload, splice)
select
    id_of(n), 'shared', case when n % 400 = 0 then 'rare' else 'usual' end, 'type-' || n % 7,
    'call', n, '{}', 1
from generate_series(1, 4000) as n
"""


@pytest.mark.usefixtures("looked_through")
@pytest.mark.parametrize("type_", [None, "type-3"])
async def test_events_of_a_pbx_that_name_a_company_are_found_page_by_page(
    filled: asyncpg.Connection, history: History, type_: str | None
) -> None:
    """No page reads more than a bound, whichever of the two has many; nothing is missed."""
    await filled.execute("truncate events")
    await filled.execute(EVENTS)
    callers = {
        a_principal(): ("usual", "rare", "nobody"),
        a_principal(Role.MANAGER, pbx="shared"): ("usual", "rare", "nobody"),
        a_principal(Role.MANAGER, company="rare"): ("rare",),
    }
    for caller, companies in callers.items():
        for company in companies:
            wanted = WantedEvents("shared", company, type_)
            query = "select id from events where company = $1 and ($2::text is null or type = $2)"
            rows = await filled.fetch(f"{query} order by id desc", company, type_)
            assert await every(history, caller, wanted) == [row["id"] for row in rows]
    for caller in (a_principal(Role.MANAGER, pbx="7"), a_principal(Role.MANAGER, company="many")):
        assert await every(history, caller, WantedEvents("shared", "usual", type_)) == []


async def every(history: History, caller: Principal, wanted: WantedEvents) -> list[UUID]:
    whole: list[UUID] = []
    before = None
    while True:
        found = await history.events(caller, wanted, before=before, limit=LIMIT)
        whole += [each.event_id for each in found.items]
        if found.left_off is None and len(found.items) < LIMIT:
            return whole
        before = found.left_off or whole[-1]
