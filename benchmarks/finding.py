"""How long the first pages of lists take over many events: each filter alone, and combined.

    .venv/bin/python benchmarks/finding.py [--events N] [--days 30] [--keep FOLDER] [--only CALLER]

Fills a Postgres of its own with one delivery of each event, an attempt of every fifth, and with
deliveries that wait: one tenant has two fifths of them, one has a hundred, a company has 2,000
integrations, another one as many and a PBX a hundred of which none ever got anything; a type and
two statuses are rare, one common type is never the large tenant's, and one type and failures are
never those of the company of 2,000. Prints the median milliseconds of a page of 50, warm, as an
admin and these tenants see it: by the clock, and of CPU, which is what it takes on a machine that
does nothing else. With a folder to keep, it is filled once, and measured as often as it is asked
for.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import text

from hookline import logs
from hookline.db import connections
from hookline.db.partitions import of_days
from hookline.domain.access import Principal, Role
from hookline.domain.deliveries import DeliveryStatus
from hookline.domain.ids import new_uuid
from hookline.history.ranges import Period
from hookline.history.repository import History
from hookline.history.statements import WantedDeliveries, WantedEvents
from own_postgres import own_postgres

_TENANTS = 1_000
_MANY = 500  # tenants from here on are PBXs of one company, with four integrations each
_AT_ONCE = 1_000_000  # events of one statement
_CONNECTIONS = 3  # that fill it
_ROUNDS = 5  # the first two warm it
_GOAL = 50  # milliseconds

# Whose an event is: 0 has two fifths, 1 a hundred in all, the others the rest.
_EVENTS = """
create temporary table made as
select
    n, tenant, ms,
    'i' || lpad((tenant + case when tenant < MANY then 0 else n / TENANTS % 4 * 500 end)::text,
        5, '0') as integration,
    case
        when (n + 1) % 200000 = 0 then 'type-rare'
        when dice = 19 and tenant <> 0 then 'type-foreign'  -- common, and never tenant 0's
        when dice = 18 and tenant < MANY then 'type-elsewhere'  -- never of the company of many
        else 'type-' || dice % 18
    end as type,
    (lpad(to_hex(ms), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid as id,
    (lpad(to_hex(ms), 12, '0') || '70018' || lpad(to_hex(n), 15, '0'))::uuid as delivery
from (
    select
        n, START + (n * (SPAN / TOTAL::float8))::bigint as ms,
        (hashint4(n) & 1073741823) % 20 as dice,
        case
            when n % 5 in (0, 1) then 0
            when (n - 2) % greatest(1, TOTAL / 100) = 0 then 1
            else 2 + n % (TENANTS - 2)
        end as tenant
    from generate_series(FIRST, LAST) as n
) as each
"""
_COPIES = (
    """
    insert into events (id, pbx, company, type, subject, time, payload, splice)
    select
        id, 'pbx-' || tenant,
        case when tenant < MANY then 'company-' || tenant else 'company-many' end, type,
        'call-' || n / 5, n, '{"id":"1"}', 9
    from made
    """,
    """
    insert into deliveries (
        id, event_id, integration_id, type, status, reason, attempts, finished_at
    )
    select
        delivery, id, integration, type,
        case
            when (n + 3) % 100000 = 0 then 'skipped'
            when (n + 2) % 1000 = 0 and tenant < MANY then 'failed'
            else 'delivered'
        end, null, 1, now()
    from made
    """,
    """
    insert into attempts (delivery_id, number, started_at, duration_ms, outcome, status_code)
    select delivery, 1, now(), 20, 'delivered', 200 from made where n % 5 = 0
    """,
    """
    insert into pending (id, event_id, integration_id, type, attempts, claims, once, due_at)
    select
        (left(delivery::text, 14) || '7002' || right(delivery::text, 18))::uuid, id,
        integration, type, 0, 0, false, now()
    from made
    where n % 49 = 0
    """,
    "drop table made",
)
_RECORDS = """
insert into integrations (
    id, sequence, pbx, company, company_vouched, name, enabled, type, url, events, max_in_flight,
    version, revision
)
select
    id, gen_random_uuid(), pbx, company, true, 'one', true, 'WEBHOOK', '', '{}', 16, 1, 1
from (
    select
        'i' || lpad(n::text, 5, '0') as id, 'pbx-' || tenant as pbx,
        case when tenant < MANY then 'company-' || tenant else 'company-many' end as company
    from (
        select n, case when n < TENANTS then n else MANY + n % (TENANTS - MANY) end as tenant
        from generate_series(0, TENANTS - 1 + 3 * (TENANTS - MANY)) as n
    ) as each
    union all
    select 'j' || n, 'idle-' || n % 500, 'company-idle' from generate_series(1, 2000) as n
    union all
    select 'k' || n, 'pbx-idle', 'company-of-one' from generate_series(1, 100) as n
) as every
"""
_PBXS = """
insert into pbxs (pbx, sequence, company, license, presence_events, revision)
select
    'pbx-' || n, gen_random_uuid(),
    case when n < MANY then 'company-' || n else 'company-many' end, 'x-bees', true, 1
from generate_series(0, TENANTS - 1) as n
"""


def with_numbers(statement: str, **numbers: int) -> str:
    """Put numbers into a statement, for their names in capitals."""
    for name, number in {**numbers, "many": _MANY, "tenants": _TENANTS}.items():
        statement = statement.replace(name.upper(), str(number))
    return statement


async def fill(dsn: str, total: int, days: int) -> None:
    """Make the rows, then the indexes, over several connections at once."""
    now = datetime.now(UTC)
    start = int((now - timedelta(days=days - 1)).timestamp() * 1000)
    span = int(now.timestamp() * 1000) - start
    connection = await asyncpg.connect(dsn)
    for partition in of_days(now.date() - timedelta(days=day) for day in range(-3, days + 1)):
        await connection.execute(partition.create())
        await connection.execute(f"alter table {partition.name} set unlogged")
    indexes = await connection.fetch(
        "select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition"
        " from pg_index where indrelid = any(array['events', 'deliveries', 'attempts']::regclass[])"
        " and not indisprimary"
    )
    for index in indexes:
        await connection.execute(f"drop index {index['name']}")

    async def copy(to: asyncpg.Connection, first: int) -> None:
        last = min(total, first + _AT_ONCE) - 1
        made = with_numbers(_EVENTS, start=start, span=span, total=total, first=first, last=last)
        for statement in (made, *_COPIES):
            await to.execute(with_numbers(statement))
        print(f"events up to {last + 1:,}", flush=True)

    async def build(to: asyncpg.Connection, index: asyncpg.Record) -> None:
        await to.execute("set maintenance_work_mem = '512MB'")
        await to.execute(index["definition"].replace(" ON ONLY ", " ON "))
        print(index["name"], flush=True)

    await side_by_side(dsn, copy, list(range(0, total, _AT_ONCE)))
    await side_by_side(dsn, build, indexes)
    for statement in (_RECORDS, _PBXS):
        await connection.execute(with_numbers(statement))
    await connection.execute("vacuum analyze")
    await connection.close()


async def side_by_side(
    dsn: str, work: Callable[[asyncpg.Connection, Any], Awaitable[None]], parts: list[Any]
) -> None:
    """Do the parts in order, over several connections."""
    left = iter(parts)

    async def some() -> None:
        connection = await asyncpg.connect(dsn)
        for part in left:
            await work(connection, part)
        await connection.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CONNECTIONS):
            tasks.create_task(some())


def periods() -> dict[str, Period]:
    now = datetime.now(UTC)
    an_hour = Period(since=now - timedelta(days=20), until=now - timedelta(days=20, hours=-1))
    return {
        "ever": Period(),
        "recent": Period(since=now - timedelta(hours=6)),
        "an hour": an_hour,
        "before": Period(until=now - timedelta(days=400)),
    }


def wanted_events() -> Iterator[tuple[str, WantedEvents]]:
    for type_ in (None, "type-3", "type-rare", "type-foreign", "type-elsewhere"):
        for pbx in (None, "pbx-0", "pbx-1", "pbx-600"):
            for when, accepted in periods().items():
                wanted = WantedEvents(pbx=pbx, type=type_, accepted=accepted)
                yield f"events pbx={pbx} type={type_} {when}", wanted
    for company in ("company-0", "company-many"):
        for type_ in (None, "type-3"):
            wanted = WantedEvents(pbx="pbx-0", company=company, type=type_)
            yield f"events pbx=pbx-0 company={company} type={type_}", wanted
    yield "events company=company-1", WantedEvents(company="company-1")
    yield "events company=company-1 type-rare", WantedEvents(company="company-1", type="type-rare")
    yield "events subject", WantedEvents(subject="call-1000")
    yield "events subject of none", WantedEvents(subject="nobody")
    yield "events subject type", WantedEvents(subject="call-1000", type="type-3")


def wanted_deliveries() -> Iterator[tuple[str, WantedDeliveries]]:
    for one in (None, "i00000", "i00001"):
        for type_ in (None, "type-3", "type-rare", "type-foreign", "type-elsewhere"):
            for status in (None, "delivered", "failed", "skipped", "pending"):
                for when, created in periods().items():
                    statuses = frozenset({DeliveryStatus(status)} if status else ())
                    name = f"deliveries integration={one} type={type_} status={status}"
                    wanted = WantedDeliveries(one, statuses, type_, created)
                    yield f"{name} {when}", wanted


@dataclass(frozen=True, slots=True)
class Taken:
    """What one list took, in milliseconds: medians."""

    wall: float
    cpu: float  # of this process and of its server's


class Clock:
    """Times lists; CPU counts of this process and of the one backend that it talks to."""

    def __init__(self, backend: int) -> None:
        self._backend = Path(f"/proc/{backend}/schedstat")

    async def time(self, page: Callable[[], Awaitable[object]]) -> Taken:
        walls, cpus = [], []
        for _ in range(_ROUNDS):
            began, cpu = time.perf_counter(), self._cpu()
            await page()
            walls.append((time.perf_counter() - began) * 1000)
            cpus.append((self._cpu() - cpu) * 1000)
        return Taken(statistics.median(walls[2:]), statistics.median(cpus[2:]))

    def _cpu(self) -> float:
        return time.process_time() + int(self._backend.read_text().split()[0]) / 1e9


async def measure(dsn: str, only: str) -> list[tuple[Taken, str]]:
    engine = connections.engine(dsn, pool_size=1)
    history = History(engine)
    async with engine.connect() as connection:
        clock = Clock((await connection.execute(text("select pg_backend_pid()"))).scalar_one())
    who = {
        "admin": Principal(new_uuid(), Role.ADMIN, "admin"),
        "large tenant": Principal(new_uuid(), Role.MANAGER, "large", pbx="pbx-0"),
        "small tenant": Principal(new_uuid(), Role.MANAGER, "small", pbx="pbx-1"),
        "small company": Principal(new_uuid(), Role.MANAGER, "small", company="company-1"),
        "company of many": Principal(new_uuid(), Role.MANAGER, "many", company="company-many"),
        "idle company": Principal(new_uuid(), Role.MANAGER, "idle", company="company-idle"),
        "idle PBX": Principal(new_uuid(), Role.MANAGER, "idle", pbx="pbx-idle"),
    }
    found = []
    for label, caller in who.items():
        if only not in label:
            continue
        for name, events in wanted_events():
            work = lambda c=caller, w=events: history.events(c, w, before=None, limit=51)  # noqa: E731
            found.append((await clock.time(work), f"{label}: {name}"))
        for name, deliveries in wanted_deliveries():
            sent = lambda c=caller, w=deliveries: history.deliveries(c, w, before=None, limit=51)  # noqa: E731
            found.append((await clock.time(sent), f"{label}: {name}"))
    await engine.dispose()
    return sorted(found, key=lambda each: each[0].cpu, reverse=True)


async def main(total: int, days: int, keep: Path | None, only: str) -> None:
    logs.configure(level="WARNING")
    settings = {"fsync": "off", "autovacuum": "off", "shared_buffers": "2GB"}
    async with own_postgres(keep, **settings) as dsn:
        connection = await asyncpg.connect(dsn)
        if not await connection.fetchval("select exists (select from integrations)"):
            began = time.perf_counter()
            await fill(dsn, total, days)
            print(f"{total:,} events over {days} days in {time.perf_counter() - began:.0f} s")
        size = await connection.fetchval("select pg_database_size(current_database())")
        print(f"{size / 1e9:.1f} GB")
        await connection.close()
        found = await measure(dsn, only)
    over = sum(taken.cpu > _GOAL for taken, _ in found)
    print(f"{len(found)} lists, {over} above {_GOAL} ms of CPU; the slowest, wall and CPU:")
    for taken, name in found[:40]:
        print(f"{taken.wall:8.1f} {taken.cpu:8.1f} ms  {name}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=5_000_000)
    options.add_argument("--days", type=int, default=30)
    options.add_argument("--keep", type=Path)
    options.add_argument("--only", default="", help="callers with this in their name")
    asked = options.parse_args()
    asyncio.run(main(asked.events, asked.days, asked.keep, asked.only))
