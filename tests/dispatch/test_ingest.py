import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from factories import Json, a_principal, a_webhook, an_event
from hookline.db import connections
from hookline.dispatch.hand_over import HandOver
from hookline.dispatch.ingest import Ingest, Stale
from hookline.dispatch.lane import LaneRules
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.peers import PeerGone, Peers
from hookline.domain.catalogue import load_catalogue
from hookline.domain.events import Event, Limits, parse_event
from hookline.errors import Overloaded, Unavailable
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.port import Appended, Claimed, NewDelivery, NewEvent, StaleSnapshot
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import PartitionKeeper
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing, generate_key
from support.jobs import own_tenant

ADMIN = a_principal()
WINDOW = timedelta(hours=48)
RULES = LaneRules(max_in_flight=2, ordered=False)
OTHERS_LEASE = 77
PLACES = RULES.capacity(2)


class Watched(PostgresQueue):
    """The real queue; counts appends, and does what a test says before one."""

    appends = 0
    fault: Exception | None = None
    before: Any = None  # a coroutine function, run before the next append

    async def append(
        self, events: Sequence[NewEvent], deliveries: Sequence[NewDelivery], *, revision: int
    ) -> Appended | StaleSnapshot:
        self.appends += 1
        if self.fault is not None:
            raise self.fault
        if self.before is not None:
            before, self.before = self.before, None
            await before()
        return await super().append(events, deliveries, revision=revision)


class Others(Peers):
    """One other process, without a socket."""

    def __init__(self) -> None:
        self.handed: list[tuple[list[Claimed], float]] = []
        self.without_room: list[str] = []
        self.gone = False

    def lease_of(self, place: int) -> int | None:
        return OTHERS_LEASE if place == 1 else None

    async def hand_over(self, deliveries: Sequence[Claimed], asked_at: float) -> list[str]:
        if self.gone:
            raise PeerGone
        self.handed.append((list(deliveries), asked_at))
        return self.without_room


class Bench:
    """Ingest over a real database, with a list where the engine would be."""

    def __init__(self, pool: asyncpg.Pool, records: AsyncEngine) -> None:
        transactions = Transactions(records)
        keyring = KeyRing.parse(generate_key())
        policy = EgressPolicy([])
        catalogue = load_catalogue()
        self.pool = pool
        self.integrations = IntegrationService(transactions, keyring, policy, catalogue)
        self.subscriptions = Subscriptions(transactions, catalogue, keyring)
        self.queue = Watched(pool, lease_seconds=60, duplicate_window=WINDOW)
        self.lanes = Lanes(lambda _: RULES, own_tenant, most_held=1000, most_bytes=1_000_000)
        self.started: list[Claimed] = []
        self.notified = 0
        self.ingest = self.another(self.lanes)

    def lanes_elsewhere(self) -> Lanes:
        """Return lanes that are another engine's."""
        rules = replace(RULES, elsewhere=True, place=1)
        return Lanes(lambda _: rules, own_tenant, most_held=1000, most_bytes=1_000_000)

    def another(self, lanes: Lanes | None, others: Others | None = None) -> Ingest:
        return Ingest(
            self.queue,
            self.subscriptions,
            lanes,
            born_lease=self.queue.born_lease,
            start=lambda jobs, _: self.started.extend(jobs),
            wake=self.notify,
            notify=self.notify,
            hand_over=HandOver(others, lanes, self.queue, notify=self.notify)
            if others is not None and lanes is not None
            else None,
        )

    def notify(self, _lanes: Collection[str] = ()) -> None:
        self.notified += 1

    async def make(self, **changes: object) -> str:
        chosen = {"events": {"call": "all"}} | changes
        document = a_webhook(url="https://93.184.215.14/", **chosen)
        new = IntegrationCreate.model_validate(document)
        return (await self.integrations.create(ADMIN, new)).integration.id

    async def pending(self, integration_id: str) -> list[asyncpg.Record]:
        query = "select * from pending where integration_id = $1 order by id"
        rows: list[asyncpg.Record] = await self.pool.fetch(query, integration_id)
        return rows


@pytest.fixture(scope="module")
async def connected(database: str) -> AsyncIterator[tuple[asyncpg.Pool, AsyncEngine]]:
    records = connections.engine(database)
    async with connections.pool(database) as pool:
        await PartitionKeeper(pool, retention_days=30, duplicate_window=WINDOW).keep()
        yield pool, records
    await records.dispose()


@pytest.fixture
async def bench(connected: tuple[asyncpg.Pool, AsyncEngine]) -> Bench:
    pool, records = connected
    await pool.execute("truncate integrations, pending, event_keys, events, deliveries")
    return Bench(pool, records)


def event(number: int = 0, **changes: object) -> Event:
    document: Json = an_event(type="call:start", time=number, **changes)
    return parse_event(orjson.dumps(document), Limits())


class TestAccepting:
    async def test_an_integration_made_just_now_gets_its_copy_at_once(self, bench: Bench) -> None:
        made = await bench.make()
        [receipt] = await bench.ingest.accept([event()])
        assert (receipt.duplicate, receipt.deliveries) == (False, 1)
        [job] = bench.started
        assert (job.integration_id, job.event_id, job.event) == (made, receipt.event_id, event())
        [row] = await bench.pending(made)
        assert (row["id"], row["lease"], row["claims"]) == (job.id, bench.queue.born_lease, 1)
        assert bench.notified == 0
        assert bench.lanes.held == 1

    async def test_a_large_batch_is_planned_while_others_go_on_and_keeps_its_order(
        self, bench: Bench
    ) -> None:
        made = [await bench.make() for _ in range(3)]
        freed, rounds = False, 0
        accepting = asyncio.create_task(bench.ingest.accept([event(n) for n in range(400)]))
        while not accepting.done():
            rounds += 1
            if bench.lanes.held and not freed:  # a place is free again while the rest is planned
                bench.lanes.drop_reserved(made[0], 0)
                freed = True
            await asyncio.sleep(0)
        receipts = accepting.result()
        assert [each.deliveries for each in receipts] == [3] * 400
        assert rounds > 20
        places = {each.event_id: place for place, each in enumerate(receipts)}
        for each in made:
            rows = sorted(await bench.pending(each), key=lambda row: row["position"])
            assert [places[row["event_id"]] for row in rows] == [*range(400)]
            born = [row["lease"] is not None for row in rows]
            assert born == sorted(born, reverse=True), "none starts before one that has to wait"

    async def test_what_is_for_another_process_is_stored_leased_to_it_and_handed_over(
        self, bench: Bench
    ) -> None:
        made, others = await bench.make(), Others()
        ingest = bench.another(bench.lanes_elsewhere(), others)
        receipts = await ingest.accept([event(1), event(2)])
        [(jobs, _)] = others.handed
        assert [job.event_id for job in jobs] == [each.event_id for each in receipts]
        rows = await bench.pending(made)
        assert {(row["lease"], row["claims"]) for row in rows} == {(OTHERS_LEASE, 1)}
        assert {job.lease for job in jobs} == {OTHERS_LEASE}
        assert (bench.started, bench.notified) == ([], 0)

    async def test_what_a_process_ended_without_taking_waits_for_a_claim(
        self, bench: Bench
    ) -> None:
        made, others = await bench.make(), Others()
        others.gone = True
        [receipt] = await bench.another(bench.lanes_elsewhere(), others).accept([event()])
        assert receipt.deliveries == 1
        [row] = await bench.pending(made)
        assert (row["lease"], row["claims"]) == (None, 0)
        assert bench.notified == 1

    async def test_a_lane_without_room_is_left_to_claims_for_a_moment(self, bench: Bench) -> None:
        made, others = await bench.make(), Others()
        others.without_room = [made]
        ingest = bench.another(bench.lanes_elsewhere(), others)
        await ingest.accept([event(1)])
        await ingest.accept([event(2)])
        assert len(others.handed) == 1
        assert [row["lease"] for row in await bench.pending(made)] == [OTHERS_LEASE, None]

    async def test_large_batches_and_what_keeps_an_order_are_left_to_claims(
        self, bench: Bench
    ) -> None:
        await bench.make()
        others = Others()
        await bench.another(bench.lanes_elsewhere(), others).accept([event(n) for n in range(300)])
        ordered = LaneRules(max_in_flight=2, ordered=True, elsewhere=True, place=1)
        lanes = Lanes(lambda _: ordered, own_tenant, most_held=1000, most_bytes=1_000_000)
        await bench.another(lanes, others).accept([event(1_000)])
        assert others.handed == []

    async def test_what_lanes_have_no_room_for_waits_in_the_database(self, bench: Bench) -> None:
        made = await bench.make()
        receipts = await bench.ingest.accept([event(number) for number in range(PLACES + 4)])
        assert {receipt.deliveries for receipt in receipts} == {1}
        assert len(bench.started) == bench.lanes.held == PLACES
        waiting = [row for row in await bench.pending(made) if row["lease"] is None]
        assert len(waiting) == 4
        assert bench.notified == 1
        assert [lane.integration_id for lane in bench.lanes.schedule.claimable()] == []
        for job in bench.started:
            bench.lanes.drop_reserved(made, len(job.event.payload))
        assert [lane.integration_id for lane in bench.lanes.schedule.claimable()] == [made]

    async def test_without_an_engine_everything_waits_and_is_announced(self, bench: Bench) -> None:
        made = await bench.make()
        await bench.another(None).accept([event()])
        assert bench.started == []
        assert bench.notified == 1
        assert [row["lease"] for row in await bench.pending(made)] == [None]

    async def test_nobody_wanting_an_event_is_noted_with_it(self, bench: Bench) -> None:
        other = await bench.make(events={"chat": "all"})
        [receipt] = await bench.ingest.accept([event()])
        assert receipt.deliveries == 0
        query = "select skipped from events where id = $1"
        skipped = await bench.pool.fetchval(query, receipt.event_id)
        assert orjson.loads(skipped) == {"not_selected": [other]}


class TestDuplicates:
    async def test_equal_events_of_one_call_are_one_event(self, bench: Bench) -> None:
        await bench.make()
        receipts = await bench.ingest.accept([event(), event(1), event()])
        assert [receipt.duplicate for receipt in receipts] == [False, False, True]
        assert receipts[2].event_id == receipts[0].event_id
        assert [receipt.deliveries for receipt in receipts] == [1, 1, 0]
        assert len(bench.started) == bench.lanes.held == 2

    async def test_an_event_sent_again_is_told_its_first_id_and_frees_its_place(
        self, bench: Bench
    ) -> None:
        await bench.make()
        [first] = await bench.ingest.accept([event()])
        [again, new] = await bench.ingest.accept([event(), event(1)])
        assert (again.event_id, again.duplicate, again.deliveries) == (first.event_id, True, 0)
        assert new.duplicate is False
        assert len(bench.started) == bench.lanes.held == 2

    async def test_fifty_copies_at_the_same_moment_are_delivered_once(self, bench: Bench) -> None:
        made = await bench.make()
        others = [bench.another(bench.lanes) for _ in range(5)]
        accepted = await asyncio.gather(*(others[n % 5].accept([event()]) for n in range(50)))
        receipts = [receipt for [receipt] in accepted]
        assert len({receipt.event_id for receipt in receipts}) == 1
        assert [receipt.duplicate for receipt in receipts].count(False) == 1
        assert sum(receipt.deliveries for receipt in receipts) == 1
        assert len(await bench.pending(made)) == len(bench.started) == bench.lanes.held == 1

    async def test_the_same_bytes_of_another_pbx_are_another_event(self, bench: Bench) -> None:
        receipts = await bench.ingest.accept([event(), event(pbx="000000000002"), event(pbx=None)])
        assert [receipt.duplicate for receipt in receipts] == [False] * 3


class TestChanges:
    async def test_a_change_between_matching_and_storing_counts(self, bench: Bench) -> None:
        first = await bench.make()
        await bench.subscriptions.catch_up()
        second: list[str] = []

        async def somebody_makes_another() -> None:
            second.append(await bench.make())
            changes = IntegrationPatch.model_validate({"enabled": False})
            await bench.integrations.change(ADMIN, first, changes, None)

        bench.queue.before = somebody_makes_another
        [receipt] = await bench.ingest.accept([event()])
        assert bench.queue.appends == 2
        assert [job.integration_id for job in bench.started] == second
        assert receipt.deliveries == bench.lanes.held == 1
        assert {job.revision for job in bench.started} == {bench.subscriptions.revision}

    async def test_changes_without_end_push_back_and_hold_no_place(self, bench: Bench) -> None:
        await bench.make()

        async def change() -> None:
            bench.queue.before = change
            await bench.make()

        bench.queue.before = change
        with pytest.raises(Overloaded):
            await bench.ingest.accept([event()])
        assert (bench.lanes.held, bench.lanes.bytes_held, bench.started) == (0, 0, [])


class TestFailures:
    async def test_with_the_database_away_nothing_is_stored_and_no_place_is_held(
        self, bench: Bench
    ) -> None:
        await bench.make()
        await bench.subscriptions.catch_up()
        bench.queue.fault = Unavailable("away")
        with pytest.raises(Unavailable):
            await bench.ingest.accept([event()])
        assert (bench.lanes.held, bench.lanes.bytes_held, bench.started) == (0, 0, [])
        bench.queue.fault = None
        [receipt] = await bench.ingest.accept([event()])
        assert receipt.duplicate is False

    async def test_a_sender_that_hangs_up_does_not_stop_its_event(self, bench: Bench) -> None:
        made = await bench.make()
        accepting = asyncio.create_task(bench.ingest.accept([event()]))
        await asyncio.sleep(0)
        accepting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await accepting
        await bench.ingest.idle()
        assert len(await bench.pending(made)) == len(bench.started) == bench.lanes.held == 1

    async def test_what_was_authorised_before_a_change_is_stale_and_spoils_no_other(
        self, bench: Bench
    ) -> None:
        await bench.make()
        stale, accepted = await asyncio.gather(
            bench.ingest.accept_authorised([event()], -1),
            bench.ingest.accept([event(1)]),
        )
        assert isinstance(stale, Stale)
        assert stale.revision == bench.subscriptions.revision
        assert [receipt.deliveries for receipt in accepted] == [1]
        assert len(bench.started) == bench.lanes.held == 1
        assert await bench.pool.fetchval("select count(*) from events") == 1
