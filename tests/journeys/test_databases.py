"""Databases as operators have them: with settings of their own, and behind a pooler."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from factories import an_event
from hookline.db.partitions import of_days
from hookline.domain.ids import lowest_uuid
from support import pgbouncer
from support.databases import Databases
from support.ledger import ledger_receiver
from support.postgres_clients import ask, connection
from support.service import Services, eventually, gathered, services

EVENTS = 100


PAST_ITS_TIME = """
insert into integrations (
    id, sequence, pbx, company_vouched, name, enabled, type, url, events, version, revision,
    deleted_at
)
values (
    'gone01', gen_random_uuid(), '1', true, 'gone', false, 'WEBHOOK', '', '{}', 1, 1,
    now() - interval '70 days'
);
insert into api_keys (id, hash, hint, role, expires_at, revision)
values (gen_random_uuid(), 'hash', 'hk_', 'ingest', now() - interval '40 days', 1);
insert into rate_limits (integration_id, used_until) values ('gone01', now() - interval '40 days');
insert into pbxs (pbx, sequence, company, license, presence_events, retention_days, revision)
values ('week', gen_random_uuid(), 'it_week', 'x-bees', false, 7, 1);
"""
AN_EVENT = """
insert into events (id, pbx, company, type, subject, time, payload, splice)
values ($1, 'week', 'it_week', 'call:start', 'call-1', 0, '{}', 1)
"""
LEFT = """
select
    (select count(*) from integrations where id = 'gone01')
    + (select count(*) from api_keys where hash = 'hash')
    + (select count(*) from rate_limits)
    + (select count(*) from events where pbx = 'week')
"""


async def everything_arrives(started: Services) -> None:
    """Run two processes; what one accepts under load is delivered, and can be listed."""
    one, other = await started.start(), await started.start("--no-engine")
    async with ledger_receiver() as ledger:
        await one.an_integration(ledger)
        sent = [
            service.api.post("/v1/events", an_event(id=f"call-{number}"))
            for number, service in enumerate([one, other] * (EVENTS // 2))
        ]
        answers = await gathered(list(sent), at_once=20)
        assert {answer.status_code for answer in answers} == {202}
        for answer in answers:
            [outcome] = (await other.settled(answer.json()["eventId"])).values()
            assert outcome["status"] == "delivered"
        assert len((await other.read("/v1/deliveries?limit=200"))["items"]) == EVENTS
    await one.stop()
    await other.stop()


async def test_a_service_works_whatever_the_database_sets_for_its_sessions(
    tmp_path: Path, databases: Databases
) -> None:
    async with (
        databases.unusual() as dsn,
        services(tmp_path, DATABASE_URL=dsn) as started,
    ):
        await everything_arrives(started)


async def test_a_dump_that_holds_old_days_keeps_nobody_waiting_nor_other_rows_from_their_end(
    tmp_path: Path, databases: Databases
) -> None:
    old = of_days(datetime.now(UTC).date() - timedelta(days=ago) for ago in range(50, 60))
    async with (
        databases.migrated() as dsn,
        connection(dsn) as dump,
        services(tmp_path, DATABASE_URL=dsn) as started,
    ):
        for partition in old:
            await dump.execute(partition.create())
        await dump.execute(PAST_ITS_TIME)
        long_ago = lowest_uuid(datetime.now(UTC) - timedelta(days=55))
        await dump.execute(AN_EVENT, long_ago)
        async with dump.transaction():
            await dump.execute("lock table events, deliveries, attempts in access share mode")
            service = await started.start()
            await service.send(an_event())
            await service.command.complains("partition.in_use")
            await service.send(an_event(id="another"))
            await eventually(lambda: ask(dsn, LEFT), lambda left: left == 0)
        await service.stop()


async def test_a_service_works_behind_pgbouncer_in_session_mode_with_its_defaults(
    tmp_path: Path, migrated_on_oldest: str, pooler: Path
) -> None:
    with pgbouncer.pooling(pooler, migrated_on_oldest, "session") as pooled:
        async with services(tmp_path, DATABASE_URL=pooled) as started:
            await everything_arrives(started)
