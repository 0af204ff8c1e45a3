import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from factories import COMPANY, a_principal
from hookline.db import connections
from hookline.dispatch.ingest import Charge, Ingest, Stale
from hookline.dispatch.ingest_authorisation import IngestAuthorisation, IngestCaller
from hookline.dispatch.observer import Receipt
from hookline.domain.access import Role
from hookline.domain.catalogue import load_catalogue
from hookline.domain.events import Event, Limits, parse_event
from hookline.errors import Forbidden, NotAuthenticated
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.keys import KeyService
from hookline.integrations.pbxs import PbxService
from hookline.integrations.requests import PbxPut
from hookline.integrations.revision import Transactions
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.port import Claimed
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import PartitionKeeper
from hookline.security.secrets import KeyRing, generate_key
from support.event_history import a_pbx

WINDOW = timedelta(hours=48)


class Process:
    """What one process has of keys, PBXs and ingest; others change the same database."""

    def __init__(self, engine: AsyncEngine, pool: asyncpg.Pool) -> None:
        transactions = Transactions(engine)
        keyring = KeyRing.parse(generate_key())
        self.subscriptions = Subscriptions(transactions, load_catalogue(), keyring)
        self.key_cache = KeyCache(transactions)
        self.authorisation = IngestAuthorisation(
            self.key_cache, self.subscriptions, lambda *_: None
        )
        self.keys = KeyService(transactions)
        self.pbxs = PbxService(transactions, retention_days=30)
        self.pool = pool
        queue = PostgresQueue(pool, lease_seconds=10.0, duplicate_window=WINDOW)
        self.ingest = Ingest(
            queue,
            self.subscriptions,
            None,
            born_lease=1,
            start=nothing_starts,
            wake=nobody_waits,
            notify=nobody_waits,
        )

    async def authorise(self, key: str) -> IngestCaller:
        principal = await self.key_cache.authenticate_from_memory(f"Bearer {key}")
        return await self.authorisation.authorise(principal)

    async def revoke_newest(self) -> None:
        newest, *_ = await self.keys.all()
        await self.keys.revoke(newest.id)

    async def stored(self, subject: str) -> int:
        query = "select count(*) from events where subject = $1"
        count: int = await self.pool.fetchval(query, subject)
        return count


def nothing_starts(jobs: Sequence[Claimed], _leased_at: float) -> None:
    assert not jobs


def nobody_waits(_lanes: Collection[str] = ()) -> None:
    raise AssertionError("nothing was to be delivered")


def event(subject: str, *, pbx: str | None = None, company: str = COMPANY) -> Event:
    named = f'"pbx":"{pbx}",' if pbx else ""
    raw = (
        f'{{"id":"{subject}",{named}"company":"{company}","time":1,"type":"call:end","data":{{}}}}'
    )
    return parse_event(raw.encode(), Limits())


@pytest.fixture
async def process(database: str) -> AsyncIterator[Process]:
    engine = connections.engine(database)
    async with connections.pool(database, size=4) as pool:
        await PartitionKeeper(pool, retention_days=30, duplicate_window=WINDOW).keep()
        yield Process(engine, pool)
    await engine.dispose()


async def test_a_key_revoked_elsewhere_after_it_entered_stores_nothing(process: Process) -> None:
    sender = await process.authorise((await process.keys.create(Role.INGEST)).key)
    await sender.send(process.ingest, [event("before")])
    await process.revoke_newest()
    with pytest.raises(NotAuthenticated):
        await sender.send(process.ingest, [event("after")])
    assert (await process.stored("before"), await process.stored("after")) == (1, 0)


async def test_a_revoked_key_is_refused_also_where_the_snapshot_is_newer_than_the_keys(
    process: Process,
) -> None:
    key = (await process.keys.create(Role.INGEST)).key
    sender = await process.authorise(key)
    await process.revoke_newest()
    await process.subscriptions.catch_up()
    with pytest.raises(NotAuthenticated):
        await sender.send(process.ingest, [event("let in before")])
    with pytest.raises(NotAuthenticated):
        await process.authorise(key)
    assert await process.stored("let in before") == 0


async def test_events_are_stored_however_fast_another_process_changes_records(
    process: Process, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = await process.authorise((await process.keys.create(Role.INGEST)).key)
    accept, unchanged = process.ingest.accept_authorised, process.subscriptions.unchanged
    tries: list[asyncio.Task[object]] = []
    kept_from: list[asyncio.Task[object]] = []
    engine = connections.engine(database)
    elsewhere = PbxService(Transactions(engine), retention_days=30)

    async def change() -> object:
        return await elsewhere.put(
            a_principal(), a_pbx(), PbxPut(company=COMPANY, license="x-bees")
        )

    async def accept_after_a_change(
        events: Sequence[Event], revision: int, charge: Charge | None = None
    ) -> list[Receipt] | Stale:
        tries.append(asyncio.create_task(change()))
        if len(tries) <= 3:
            await tries[-1]
        return await accept(events, revision, charge)

    @asynccontextmanager
    async def noting() -> AsyncIterator[int]:
        async with unchanged() as revision:
            yield revision
            kept_from.extend(task for task in tries if not task.done())

    monkeypatch.setattr(process.ingest, "accept_authorised", accept_after_a_change)
    monkeypatch.setattr(process.subscriptions, "unchanged", noting)
    try:
        [receipt] = await sender.send(process.ingest, [event("beside changes")])
        assert not receipt.duplicate
        assert (len(tries), kept_from) == (4, [tries[-1]])
        await tries[-1]
    finally:
        await engine.dispose()
    assert await process.stored("beside changes") == 1


async def test_the_same_event_of_a_key_that_is_still_valid_is_stored(process: Process) -> None:
    valid = await process.authorise((await process.keys.create(Role.INGEST)).key)
    revoked = await process.authorise((await process.keys.create(Role.INGEST)).key)
    await process.revoke_newest()
    first, stored, last = await asyncio.gather(
        revoked.send(process.ingest, [event("of both")]),
        valid.send(process.ingest, [event("of both")]),
        revoked.send(process.ingest, [event("of both")]),
        return_exceptions=True,
    )
    assert isinstance(first, NotAuthenticated)
    assert isinstance(last, NotAuthenticated)
    assert isinstance(stored, list)
    assert [receipt.duplicate for receipt in stored] == [False]
    assert await process.stored("of both") == 1


async def test_a_pbx_described_as_anothers_after_the_key_entered_is_refused(
    process: Process,
) -> None:
    pbx, company = a_pbx(), a_pbx()
    await process.pbxs.put(a_principal(), pbx, PbxPut(company=company, license="x-bees"))
    await process.subscriptions.catch_up()
    sender = await process.authorise((await process.keys.create(Role.INGEST, company=company)).key)
    own, alien = event("own", company=company), event("alien", pbx=pbx, company=company)
    assert sender.route(alien) == alien
    await process.pbxs.put(a_principal(), pbx, PbxPut(company="another", license="x-bees"))
    with pytest.raises(Forbidden):
        await sender.send(process.ingest, [own, alien])
    assert (await process.stored("own"), await process.stored("alien")) == (0, 0)
    await sender.send(process.ingest, [own])
    assert await process.stored("own") == 1


async def test_an_event_is_routed_by_its_own_pbx_or_else_by_the_keys(process: Process) -> None:
    pbx = a_pbx()
    sender = await process.authorise((await process.keys.create(Role.INGEST, pbx=pbx)).key)
    unnamed = event("unnamed")
    assert sender.route(unnamed).pbx == pbx
    assert sender.route(unnamed).payload == unnamed.payload
    assert sender.route(event("named", pbx=pbx)).pbx == pbx
    with pytest.raises(Forbidden):
        sender.route(event("another's", pbx=a_pbx()))


async def test_a_manager_does_not_enter(process: Process) -> None:
    key = (await process.keys.create(Role.MANAGER, pbx=a_pbx())).key
    with pytest.raises(Forbidden):
        await process.authorise(key)
