"""A store as it looks after days of work, made by the server itself within seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from hookline.db.partitions import Partition
from hookline.queue.retention import PartitionKeeper

FINISHED = 100_000
OPEN = 10_000
INTEGRATIONS = 20
DAYS = 5  # today and the days before it
FINISHED_AT = datetime.now(UTC) - timedelta(days=2)  # a day of which many are
RETENTION_DAYS = 30

_ID = """
    create function pg_temp.an_id(moment timestamptz) returns uuid language sql volatile as $$
        select (
            lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0')
            || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15)
        )::uuid
    $$
"""
_ROWS = """
    create temporary table made as
    select
        number,
        pg_temp.an_id(moment) as event_id,
        pg_temp.an_id(moment) as delivery_id,
        (select id from named where named.number = numbered.number % {integrations})
            as integration_id,
        'call-' || number / 4 as subject,
        moment
    from (
        select
            number,
            now() - make_interval(secs => (number::float8 / {total}) * 86400 * {days}) as moment
        from generate_series(0, {total} - 1) as number
    ) as numbered
"""
_EVENTS = """
    insert into events (id, pbx, company, type, subject, time, payload, splice)
    select event_id, '000000000001', 'it_w000001', 'call:start', subject, 0,
        convert_to(repeat('x', 300), 'UTF8'), 10
    from made
"""
_KEYS = "insert into event_keys select md5(number::text)::uuid, event_id from made"
_FINISHED = """
    insert into deliveries
    select delivery_id, event_id, integration_id, 'call:start', 'delivered', null, 1, moment
    from made where number >= $1
"""
_ATTEMPTS = """
    insert into attempts
    select delivery_id, 1, moment, 12, 'delivered', null, 200, null from made where number >= $1
"""
_PENDING = """
    insert into pending (
        id, event_id, integration_id, type, ordering, payload_bytes, attempts, claims, once, due_at,
        lease, leased_until, stale_at, replacement_key
    )
    select delivery_id, event_id, integration_id, 'call:start',
        case when number % 2 = 0 then subject end, 300, 0, 0, false,
        case when number % 3 = 0 then now() + interval '60 s' else now() - interval '1 s' end,
        case when number % 9 = 0 then 7 end,
        case when number % 9 = 0 then now() + interval '60 s' end,
        case when number % 5 = 1 then now() - interval '1 s' end,
        case when number % 5 = 1 then lpad(to_hex(number % 100), 32, '0')::uuid end
    from made where number < $1
"""
_SUBJECTS = """
    insert into subjects (integration_id, ordering, due_at, position)
    select integration_id, ordering,
        case when min(position) % 2 = 0 then to_timestamp(0) else min(due_at) end, min(position)
    from pending where ordering is not null group by 1, 2
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows that are there, to ask for."""

    pending: list[UUID]
    leased: list[UUID]
    finished: UUID
    finished_event: UUID  # of the same day
    digests: list[UUID]
    integrations: list[str]


async def make_days(pool: asyncpg.Pool) -> None:
    """Make the partitions that a service of this age has."""
    keeper = PartitionKeeper(
        pool, retention_days=RETENTION_DAYS, duplicate_window=timedelta(days=DAYS)
    )
    for days_ago in range(DAYS):
        await keeper.keep(datetime.now(UTC) - timedelta(days=days_ago))


async def fill(connection: asyncpg.Connection) -> Sample:
    """Fill the store: finished deliveries over days, open ones of the last hours."""
    named = [f"int{number:03}" for number in range(INTEGRATIONS)]
    await _fill_finished(connection, named, FINISHED, OPEN)
    await connection.execute(_PENDING, OPEN)
    await connection.execute(_SUBJECTS)
    return await _sample(connection)


async def fill_finished(
    connection: asyncpg.Connection, integrations: Sequence[str], deliveries: int
) -> None:
    """Fill the store with finished deliveries to these integrations, over days."""
    await _fill_finished(connection, integrations, deliveries, 0)


async def _fill_finished(
    connection: asyncpg.Connection, integrations: Sequence[str], finished: int, left_open: int
) -> None:
    await connection.execute(_ID)
    await connection.execute("create temporary table named (number int primary key, id text)")
    await connection.copy_records_to_table("named", records=list(enumerate(integrations)))
    await connection.execute(
        _ROWS.format(total=finished + left_open, days=DAYS - 1, integrations=len(integrations))
    )
    for statement in (_EVENTS, _KEYS):
        await connection.execute(statement)
    for statement in (_FINISHED, _ATTEMPTS):
        await connection.execute(statement, left_open)


async def _sample(connection: asyncpg.Connection) -> Sample:
    async def column(query: str) -> list[Any]:
        return [row[0] for row in await connection.fetch(query)]

    day = Partition("deliveries", FINISHED_AT.date())
    [finished, event] = await connection.fetchrow(
        f"select id, event_id from {day.name} order by id desc limit 1 offset 1000"  # noqa: S608 - ours
    )
    return Sample(
        pending=await column("select id from pending where lease is null limit 200"),
        leased=await column("select id from pending where lease is not null limit 200"),
        finished=finished,
        finished_event=event,
        digests=await column("select digest from event_keys limit 50"),
        integrations=await column("select distinct integration_id from pending order by 1"),
    )
