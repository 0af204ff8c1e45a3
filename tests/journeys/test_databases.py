"""Databases as operators have them: with settings of their own, and behind a pooler."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from factories import an_event
from hookline.db.partitions import of_days
from support import pgbouncer
from support.databases import Databases
from support.ledger import keeping_books
from support.postgres_clients import connection
from support.service import Services, gathered, services

EVENTS = 100


async def everything_arrives(started: Services) -> None:
    """Run two processes; what one accepts under load is delivered, and can be listed."""
    one, other = await started.start(), await started.start("--no-engine")
    async with keeping_books() as ledger:
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


async def test_a_dump_that_holds_old_days_keeps_neither_the_start_nor_senders_waiting(
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
        async with dump.transaction():
            await dump.execute("lock table events, deliveries, attempts in access share mode")
            service = await started.start()
            await service.send(an_event())
            await service.command.complains("partition.in_use")
            await service.send(an_event(id="another"))
        await service.stop()


async def test_a_service_works_behind_pgbouncer_in_session_mode_with_its_defaults(
    tmp_path: Path, migrated_on_oldest: str, pooler: Path
) -> None:
    with pgbouncer.pooling(pooler, migrated_on_oldest, "session") as pooled:
        async with services(tmp_path, DATABASE_URL=pooled) as started:
            await everything_arrives(started)
