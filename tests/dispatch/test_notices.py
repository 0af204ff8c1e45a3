import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import asyncpg
import pytest

from hookline.background import Periodic
from hookline.dispatch.ingest import Ingest
from hookline.dispatch.notices import ExhaustedCounter
from hookline.dispatch.observer import Receipt
from hookline.domain.deliveries import ErrorKind
from hookline.domain.events import Event
from hookline.domain.ids import new_uuid
from hookline.errors import Overloaded, Unavailable
from hookline.integrations.notices import Exhausted
from hookline.integrations.revision import Transactions
from hookline.queue.postgres import PostgresQueue
from hookline.security.secrets import KeyRing, generate_key
from support.watching import ADMIN, EXHAUSTED, Process


@pytest.fixture
async def processes(
    transactions: Transactions, connections: asyncpg.Pool
) -> tuple[Process, Process]:
    await connections.execute("truncate notices, exhausted_deliveries")
    keyring = KeyRing.parse(generate_key())
    return Process(transactions, keyring), Process(transactions, keyring)


@pytest.fixture
def process(processes: tuple[Process, Process]) -> Process:
    return processes[0]


@pytest.fixture
async def ingest(process: Process, connections: asyncpg.Pool) -> Ingest:
    """The real one, of a process without an engine."""
    await process.subscriptions.catch_up()
    window = timedelta(hours=48)
    queue = PostgresQueue(connections, lease_seconds=10, duplicate_window=window)
    return Ingest(
        queue,
        process.subscriptions,
        None,
        born_lease=queue.born_lease,
        start=lambda *_: None,
        wake=lambda: None,
        notify=lambda _: None,
    )


async def a_minute_passes(connections: asyncpg.Pool) -> None:
    await connections.execute("update exhausted_deliveries set due_at = due_at - interval '60 s'")


async def test_exhausted_deliveries_are_told_of_together_and_a_minute_apart(
    process: Process, connections: asyncpg.Pool
) -> None:
    target = await process.an_integration(name="CRM")
    first = process.saw(target, EXHAUSTED)
    assert await process.told() == [
        (
            "delivery:exhausted",
            {
                "integrationId": target,
                "name": "CRM",
                "count": 1,
                "deliveryIds": [str(first[0])],
                "lastError": "timeout",
            },
        )
    ]
    later = process.saw(target, EXHAUSTED, times=25)
    assert await process.told() == []
    await a_minute_passes(connections)
    [(_, data)] = await process.told()
    assert data["count"] == 25
    assert data["deliveryIds"] == [str(each) for each in later[:10]]
    await a_minute_passes(connections)
    assert await process.told() == []
    assert await connections.fetchval("select count(*) from exhausted_deliveries") == 0


async def test_processes_share_one_group_of_exhausted_deliveries(
    processes: tuple[Process, Process], connections: asyncpg.Pool
) -> None:
    one, other = processes
    target, another = [await one.an_integration() for _ in range(2)]
    early, late = one.saw(target, EXHAUSTED, times=7), other.saw(target, EXHAUSTED, times=6)
    other.saw(another, EXHAUSTED)
    await one.exhausted.flush()
    await other.exhausted.flush()
    told = {data["integrationId"]: data for _, data in await one.told() + await other.told()}
    assert told[target]["count"] == 13
    assert told[target]["deliveryIds"] == [str(each) for each in early + late[:3]]
    assert told[another]["count"] == 1
    for process in processes:
        process.saw(target, EXHAUSTED)
        assert await process.told() == [], "the minute is everybody's"
    await a_minute_passes(connections)
    assert [data["count"] for _, data in await other.told() + await one.told()] == [2]


async def test_what_was_counted_survives_the_process_that_counted_it(
    processes: tuple[Process, Process], connections: asyncpg.Pool
) -> None:
    dead, heir = processes
    target = await dead.an_integration()
    dead.saw(target, EXHAUSTED)
    await dead.told()
    dead.saw(target, EXHAUSTED, times=3)
    await dead.monitor.sync()
    await a_minute_passes(connections)
    exhausted = [data for kind, data in await heir.told() if kind == "delivery:exhausted"]
    assert [data["count"] for data in exhausted] == [3]


async def test_a_notice_that_was_exhausted_is_not_told_of(process: Process) -> None:
    target = await process.an_integration()
    process.saw(target, EXHAUSTED, kind="integration:paused")
    assert await process.told() == []


async def test_a_deleted_integration_is_nobodys_concern(process: Process) -> None:
    target = await process.an_integration()
    await process.change(target, enabled=False)
    process.saw(target, EXHAUSTED)
    await process.integrations.delete(ADMIN, target, None)
    assert await process.told() == []


async def test_notices_wait_in_order_while_nothing_is_taken(process: Process) -> None:
    targets = [await process.an_integration() for _ in range(2)]
    for target in targets:
        process.saw(target, EXHAUSTED)
        await process.exhausted.flush()

    async def full(_events: object) -> list[Receipt]:
        raise Overloaded("Too much is waiting.", retry_after=1)

    with pytest.raises(Overloaded):
        await process.notices.run_once(full)
    assert [data["integrationId"] for _, data in await process.told()] == targets


async def test_an_envelope_names_the_integrations_tenant(process: Process) -> None:
    target = await process.an_integration(pbx="000000000077", company="it_w000077")
    process.saw(target, EXHAUSTED)
    await process.told()
    [event] = process.accepted
    assert (event.subject, event.pbx, event.company) == (target, "000000000077", "it_w000077")


async def test_while_one_process_has_notices_accepted_no_other_takes_them(
    processes: tuple[Process, Process],
) -> None:
    one, other = processes
    await one.change(await one.an_integration(), enabled=False)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(events: Sequence[Event]) -> list[Receipt]:
        asked.set()
        await answer.wait()
        return [Receipt(new_uuid(), duplicate=False, deliveries=0) for _ in events]

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(one.notices.run_once(slow))
        await asked.wait()
        assert await other.told() == []
        answer.set()
    assert await other.told() == []


async def test_what_was_accepted_before_a_crash_is_known_for_a_duplicate(
    process: Process, ingest: Ingest, connections: asyncpg.Pool
) -> None:
    target = await process.an_integration()
    await process.change(target, enabled=False)
    receipts: list[Receipt] = []

    async def and_die(events: Sequence[Event]) -> list[Receipt]:
        receipts.extend(await ingest.accept(events))
        raise Unavailable("The database is away.")

    with pytest.raises(Unavailable):
        await process.notices.run_once(and_die)
    await process.change(target, name="Renamed meanwhile")

    async def accept(events: Sequence[Event]) -> list[Receipt]:
        receipts.extend(await ingest.accept(events))
        return receipts[1:]

    await process.notices.run_once(accept)
    first, second = receipts
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.event_id == second.event_id
    assert await connections.fetchval("select count(*) from notices") == 0


async def test_what_cannot_be_an_event_keeps_nobody_waiting(
    process: Process, connections: asyncpg.Pool
) -> None:
    for _ in range(2):
        await process.change(await process.an_integration(), enabled=False)
    await connections.execute(
        "update notices set type = 'with a space' where id = (select min(id) from notices)"
    )
    assert len(await process.told()) == 1
    assert await connections.fetchval("select count(*) from notices") == 0


async def test_many_notices_are_taken_bit_by_bit(
    process: Process, connections: asyncpg.Pool
) -> None:
    target = await process.an_integration()
    await connections.execute(
        "insert into notices (type, integration_id, company, name, data)"
        " select 'integration:paused', $1, 'it_w000001', 'CRM', '{\"number\": ' || n || '}'"
        " from generate_series(1, 250) as n",
        target,
    )
    assert [data["number"] for _, data in await process.told()] == list(range(1, 251))


async def test_what_is_too_old_is_dropped(process: Process, connections: asyncpg.Pool) -> None:
    old, new = [await process.an_integration() for _ in range(2)]
    await process.change(old, enabled=False)
    await connections.execute("update notices set told_at = now() - interval '25 hours'")
    await process.change(new, enabled=False)
    assert [data["integrationId"] for _, data in await process.told()] == [new]


async def test_what_is_too_much_is_dropped_and_the_newest_stay(
    process: Process, connections: asyncpg.Pool
) -> None:
    target = await process.an_integration()
    await connections.execute(
        "insert into notices (type, integration_id, company, name, data)"
        " select 'integration:paused', $1, n % 100, 'CRM', '{\"number\": ' || n || '}'"
        " from generate_series(1, 10003) as n",
        target,
    )
    oldest = await connections.fetchval("select min(id) from notices")
    await process.notices._outbox.gather()
    left = await connections.fetchrow("select count(*), min(id) from notices")
    assert tuple(left) == (10_000, oldest + 3)


async def test_a_tenant_with_too_much_to_tell_pushes_out_its_own_alone(
    process: Process, connections: asyncpg.Pool
) -> None:
    target = await process.an_integration()
    for pbx, count in (("other", 5), ("flood", 1_500)):
        await connections.execute(
            "insert into notices (type, integration_id, pbx, name, data)"
            " select 'integration:paused', $1, $2, 'CRM', '{}' from generate_series(1, $3)",
            *(target, pbx, count),
        )
    await process.notices._outbox.gather()
    left = await connections.fetch("select pbx, count(*) from notices group by pbx order by pbx")
    assert [tuple(row) for row in left] == [("flood", 1_000), ("other", 5)]


async def test_it_looks_when_one_is_hinted_at_and_goes_on_after_a_fault(process: Process) -> None:
    await process.change(await process.an_integration(), enabled=False)
    tries: list[int] = []
    accepted = asyncio.Event()

    async def accept(events: Sequence[Event]) -> list[Receipt]:
        tries.append(len(events))
        if len(tries) == 1:
            raise RuntimeError("a fault of ours")
        accepted.set()
        return [Receipt(new_uuid(), duplicate=False, deliveries=0) for _ in events]

    periodic = Periodic("notices", partial(process.notices.run_once, accept), 600.0)
    running = asyncio.create_task(periodic.run())
    periodic.soon()
    async with asyncio.timeout(10):
        await accepted.wait()
    running.cancel()
    assert tries == [1, 1]


async def test_a_counter_keeps_what_the_database_did_not_take() -> None:
    taken: list[dict[str, Exhausted]] = []
    ids = [new_uuid() for _ in range(3)]

    async def add(counted: object) -> None:
        assert isinstance(counted, dict)
        if not taken:
            taken.append({})
            exhausted.count("s95eum", ids[2], ErrorKind.STATUS)
            raise Unavailable("The database is away.")
        taken.append(counted)

    exhausted = ExhaustedCounter(add)
    for delivery_id in ids[:2]:
        exhausted.count("s95eum", delivery_id, ErrorKind.TIMEOUT)
    await exhausted.aclose()
    await exhausted.aclose()
    examples = tuple(str(each) for each in ids)
    assert taken[1] == {"s95eum": Exhausted(3, examples, ErrorKind.STATUS)}
