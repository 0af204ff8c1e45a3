"""Every hot statement finds its rows by key, however full the tables and however old its plan."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from hookline.db.connections import pool
from hookline.db.partitions import is_partition
from hookline.db.statements import of_days, statement
from hookline.domain.ids import lowest_uuid, new_uuid
from hookline.queue.rows import plain, texts
from support import filled_store, plans
from support.databases import Databases
from support.filled_store import Sample

_NOW = datetime.now(UTC)
_NEW = 100  # events of one append, ten of them duplicates
_IDLE_LANE = "zzzzzz"  # behind all others in every index; nothing of it waits
_MOST_ROWS = 4_000  # that a statement reads of a table, where 10,000 wait and 200,000 are over
_FILLING = 60.0  # seconds that one statement of the filling may take
_NAMES_DAYS = {  # partitions that a statement names itself
    "events": 1,
    "event_of": 1,
    "retry": 3,
    "old_events": 1,
    "remove_deliveries": 2,
    "remove_events": 1,
}
_COMES_AND_GOES = """
    insert into pending (
        id, event_id, integration_id, type, payload_bytes, attempts, claims, once, due_at
    )
    select gen_random_uuid(), gen_random_uuid(), 'int001', 'call:start', 1, 0, 0, false, now()
    from generate_series(1, 500);
    delete from pending
"""
_HOT = (
    "append",
    "originals",
    "claim",
    "claim_ordered",
    "refresh",
    "expire",
    "settle",
    "release",
    "release_by_token",
    "release_lease",
    "renew",
    "waiting",
    "events",
    "event_of",
    "retry",
    "unordered",
    "begin_order",
    "end_order",
    "skip",
    "skip_stale",
    "skip_superseded",
    "replacement_keys",
    "old_events",
    "remove_deliveries",
    "remove_events",
)


def arguments(name: str, sample: Sample) -> list[object]:
    """Return what the queue would hand to a statement while it is busy."""
    held, leases = sample.leased[:100], [7] * 100
    claim = [sample.integrations, [16] * len(sample.integrations), 9, 60.0, 1_000_000]
    statuses = ["delivered"] * 50 + ["pending"] * 50
    ids, ones, nothing = plain(held), plain([1] * 100), texts([None] * 100)
    outcomes = [ids, plain(leases), texts(statuses), nothing, plain([5.0] * 100), ones]
    attempts = [ids, ones, [_NOW] * 100, plain([5] * 100), texts(statuses), nothing]
    counted = [nothing, nothing, ones, nothing, "{}"]
    every: dict[str, list[object]] = {
        "append": _append(sample),
        "originals": [sample.digests],
        "claim": claim,
        "claim_ordered": claim,
        "refresh": [sample.integrations, 100],
        "expire": [100],
        "settle": [*outcomes, *attempts, [200] * 100, [b"answer"] * 100, *counted],
        "release": [held, leases],
        "release_by_token": [7, held[:50], sample.integrations[:5]],
        "release_lease": [7, held[:50]],
        "renew": [held, leases, 60.0],
        "waiting": [],
        "events": [plain([sample.finished_event])],
        "event_of": [sample.finished],
        "retry": [sample.finished, False, sample.finished_event],
        "unordered": [sample.integrations, 100],
        "begin_order": [plain(sample.pending[:100]), ["call-1"] * 100],
        "end_order": [sample.integrations, 100],
        "skip_stale": [100, 7],
        "skip_superseded": [
            ["int001"] * 5,
            [UUID(int=1 + 20 * number) for number in range(5)],
            100,
            7,
        ],
        "replacement_keys": ["", UUID(int=0), 100],
        "old_events": ["000000000001", UUID(int=sample.finished_event.int - 1), 100],
        "remove_deliveries": [[sample.finished]],
        "remove_events": [[sample.finished_event]],
        "skip": [sample.integrations[3], "deleted", 100, 7],
    }
    return every[name]


def _append(sample: Sample) -> list[object]:
    ids = [new_uuid() for _ in range(_NEW)]
    digests = [*sample.digests[:10], *(uuid.uuid4() for _ in range(_NEW - 10))]
    words, ones, nothing = texts(["x"] * _NEW), plain([1] * _NEW), texts([None] * _NEW)
    payloads = [b"payload"] * _NEW
    events = [plain(ids), plain(digests), *[words] * 4, ones, payloads, ones, nothing]
    born = plain(new_uuid() for _ in ids)
    deliveries = [born, plain(ids), texts([_IDLE_LANE] * _NEW), words, nothing]
    edge = lowest_uuid(_NOW - timedelta(hours=48))
    return [1, edge, *events, 60.0, *deliveries, ones, ones, *["{}"] * 4]


def sql_of(name: str) -> str:
    """Return a statement as the queue prepares it for what `Sample.finished` is of."""
    day = lowest_uuid(filled_store.FINISHED_AT)
    return of_days(statement(f"queue/{name}"), events=day, deliveries=day, attempts=day)


@pytest.fixture(scope="module")
async def connection(databases: Databases) -> AsyncIterator[asyncpg.Connection]:
    """One of the queue's own connections, to an empty store."""
    async with databases.migrated() as dsn, pool(dsn, statement_timeout=_FILLING) as opened:
        await filled_store.make_days(opened)
        async with opened.acquire() as one:
            yield one


@pytest.fixture(scope="module")
async def planned_while_empty(connection: asyncpg.Connection) -> dict[str, plans.Prepared]:
    return {name: await plans.prepare(connection, f"{name}_old", sql_of(name)) for name in _HOT}


@pytest.fixture(scope="module")
async def planned_once_emptied(
    connection: asyncpg.Connection, planned_while_empty: dict[str, plans.Prepared]
) -> dict[str, plans.Prepared]:
    """Plans from statistics that autovacuum gathered when nothing waited for a moment."""
    assert planned_while_empty
    await connection.execute(_COMES_AND_GOES)
    await connection.execute("analyze pending")
    return {name: await plans.prepare(connection, f"{name}_low", sql_of(name)) for name in _HOT}


@pytest.fixture(scope="module")
async def sample(
    connection: asyncpg.Connection, planned_once_emptied: dict[str, plans.Prepared]
) -> Sample:
    assert planned_once_emptied
    return await filled_store.fill(connection)


@pytest.fixture(scope="module")
async def analysed(connection: asyncpg.Connection, sample: Sample) -> Sample:
    await connection.execute("analyze")
    return sample


def refuse_what_grows_with_the_tables(name: str, scans: list[plans.Scan]) -> None:
    kinds = {"Index Scan", "Index Only Scan", "Tid Scan"}
    assert [s for s in scans if s.kind not in kinds and s.table != "revision"] == []
    assert [scan for scan in scans if scan.rows > _MOST_ROWS] == []
    planned = {scan.table for scan in scans if is_partition(scan.table)}  # whether read or not
    assert len(planned) == _NAMES_DAYS.get(name, 0)


class TestPlans:
    """In this order: the first ones find no statistics, and plans of an empty store."""

    @pytest.mark.parametrize("name", _HOT)
    async def test_a_plan_made_while_the_store_was_empty_is_still_good(
        self,
        connection: asyncpg.Connection,
        planned_while_empty: dict[str, plans.Prepared],
        sample: Sample,
        name: str,
    ) -> None:
        scans = await plans.explain(connection, planned_while_empty[name], arguments(name, sample))
        refuse_what_grows_with_the_tables(name, scans)

    @pytest.mark.parametrize("name", _HOT)
    async def test_a_plan_made_when_nothing_waited_any_more_is_still_good(
        self,
        connection: asyncpg.Connection,
        planned_once_emptied: dict[str, plans.Prepared],
        sample: Sample,
        name: str,
    ) -> None:
        scans = await plans.explain(connection, planned_once_emptied[name], arguments(name, sample))
        refuse_what_grows_with_the_tables(name, scans)

    @pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
    @pytest.mark.parametrize("name", _HOT)
    async def test_without_statistics_rows_are_found_by_key(
        self, connection: asyncpg.Connection, sample: Sample, name: str, mode: str
    ) -> None:
        await _fresh_plan_is_good(connection, name, sample, mode)

    @pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
    @pytest.mark.parametrize("name", _HOT)
    async def test_with_statistics_rows_are_found_by_key(
        self, connection: asyncpg.Connection, analysed: Sample, name: str, mode: str
    ) -> None:
        await _fresh_plan_is_good(connection, name, analysed, mode)

    async def test_old_digests_are_found_by_their_index(
        self, connection: asyncpg.Connection, analysed: Sample
    ) -> None:
        assert analysed.digests
        async with connection.transaction():
            await connection.execute("set local enable_bitmapscan = on")
            forget = await plans.prepare(connection, "forget", statement("queue/forget_keys"))
            edge = lowest_uuid(_NOW - timedelta(days=30))
            plan = await plans.explain(connection, forget, [edge, 100])
        assert {scan.kind for scan in plan} <= {"Bitmap Heap Scan", "Tid Scan"}


async def _fresh_plan_is_good(
    connection: asyncpg.Connection, name: str, sample: Sample, mode: str
) -> None:
    async with connection.transaction():
        await connection.execute(f"set local plan_cache_mode = {mode}")
        prepared = await plans.prepare(connection, f"{name}_new", sql_of(name))
        scans = await plans.explain(connection, prepared, arguments(name, sample))
        await connection.execute(f"deallocate {prepared.name}")
    refuse_what_grows_with_the_tables(name, scans)
