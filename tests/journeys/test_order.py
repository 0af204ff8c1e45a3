"""First in, first out, through one process or two, deaths and retries."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from factories import a_queue, an_event
from support.databases import Databases
from support.moto_server import moto_server
from support.numbered_events import (
    SUBJECTS,
    Sender,
    by_subject,
    came_in_order,
    number_of,
    numbers,
    until_all_came,
)
from support.postgres_clients import ask, connection
from support.receivers import OK, Exchange, receiving, status
from support.service import PATIENCE, Service, Services, eventually, services
from support.sqs_consumer import Consumer

MOST = 1_000  # events of one batch
SOON = {"DELIVERY_TIMEOUT": "2", "LEASE_MARGIN": "1", "RETRY_DELAYS": "0.05,0.05,0.05"}


@pytest.fixture(params=[pytest.param(1, marks=pytest.mark.soak), 2])
async def processes(together: Services, request: pytest.FixtureRequest) -> list[Service]:
    """One process, or two, with engines."""
    return [await together.start(**SOON) for _ in range(request.param)]


@pytest.fixture(params=[pytest.param(1, marks=pytest.mark.soak), 2, "peers"])
async def all_kinds_of_processes(
    together: Services, request: pytest.FixtureRequest
) -> AsyncIterator[list[Service]]:
    """As `processes`, or two of one service, which hand deliveries to each other."""
    if request.param != "peers":
        yield [await together.start(**SOON) for _ in range(request.param)]
        return
    with TemporaryDirectory() as folder:
        yield [await together.start(f"--peer-socket={folder}/{n}.peer", **SOON) for n in range(2)]


@pytest.mark.parametrize(
    "all_kinds_of_processes",
    [pytest.param(n, marks=pytest.mark.soak) for n in (1, 2)] + ["peers"],
    indirect=True,
)
async def test_one_at_a_time_comes_in_the_order_of_acceptance_and_is_listed_in_it(
    all_kinds_of_processes: list[Service], together: Services
) -> None:
    processes = all_kinds_of_processes
    acceptor = await together.start("--no-engine", **SOON)
    async with receiving() as receiver:
        await processes[0].an_integration(receiver, maxInFlight=1)
        sender = Sender(*processes, acceptor)
        await sender.batch(MOST)
        await sender.mixed()
        await until_all_came(receiver, sender)
        await came_in_order(receiver, sender, together)
    page = await processes[0].read("/v1/events?limit=200")
    assert [each["eventId"] for each in page["items"]] == sender.accepted[-200:][::-1]


async def test_many_at_a_time_start_in_the_order_of_acceptance(
    all_kinds_of_processes: list[Service], together: Services
) -> None:
    processes = all_kinds_of_processes
    async with receiving() as receiver:
        await processes[0].an_integration(receiver, maxInFlight=16)
        sender = Sender(*processes)
        await sender.mixed()
        await until_all_came(receiver, sender)
    for event_id in sender.accepted[-20:]:
        await processes[0].settled(event_id)
    async with connection(together.settings["DATABASE_URL"]) as client:
        rows = await client.fetch(
            "select event_id from attempts join deliveries on deliveries.id = delivery_id"
            " where number = 1 order by started_at"
        )
    started = [str(row["event_id"]) for row in rows]
    assert started == [each for each in sender.accepted if each in set(started)]


async def test_first_attempts_are_in_order_whatever_is_tried_again(service: Service) -> None:
    failed: set[int] = set()

    async def now_and_then(exchange: Exchange) -> None:
        number = number_of(exchange.request.body)
        fails = number % 7 == 0 and number not in failed
        failed.add(number)
        await exchange.say(status(503) if fails else OK)

    async with receiving(now_and_then) as receiver:
        await service.an_integration(receiver, maxInFlight=1)
        sender = Sender(service)
        await sender.mixed()
        await until_all_came(receiver, sender)
        assert numbers(receiver) == list(range(len(sender.accepted)))


async def test_what_a_killed_process_had_in_hand_still_goes_first(
    all_kinds_of_processes: list[Service], together: Services
) -> None:
    processes = all_kinds_of_processes
    async with receiving() as receiver:
        await processes[0].an_integration(receiver, maxInFlight=1)
        sender = Sender(*processes)
        await sender.batch(400)
        await receiver.until_asked(150, within=PATIENCE)
        for each in processes:
            await each.kill()
        again = await together.start(**SOON)
        sender.services = (again,)
        await sender.batch(100)
        await until_all_came(receiver, sender)
        await came_in_order(receiver, sender, together)


class Watch:
    """A receiver that sees whether two of one subject are under way, and fails one subject."""

    def __init__(self, failing: int | None = None) -> None:
        self.failing = failing
        self.down = False  # then it fails all
        self.under_way: set[int] = set()
        self.most_at_once = 0
        self.overlapped: list[int] = []

    async def __call__(self, exchange: Exchange) -> None:
        number = number_of(exchange.request.body)
        subject = number % SUBJECTS
        if subject in self.under_way:
            self.overlapped.append(number)
        self.under_way.add(subject)
        self.most_at_once = max(self.most_at_once, len(self.under_way))
        await asyncio.sleep(0.001)
        self.under_way.discard(subject)
        await exchange.say(status(503) if self.down or subject == self.failing else OK)


async def test_a_subject_is_delivered_one_after_another_and_the_others_meanwhile(
    processes: list[Service],
) -> None:
    watch = Watch(failing=3)
    async with receiving(watch) as receiver:
        await processes[0].an_integration(receiver, ordering="subject", maxInFlight=16)
        sender = Sender(*processes)
        await sender.batch(100)
        await sender.singles(20)
        await until_all_came(receiver, sender)
        assert watch.overlapped == []
        assert watch.most_at_once > 1
        for order in by_subject(numbers(receiver)).values():
            assert order == sorted(order)
        tries = [number_of(r.body) for r in receiver.requests if number_of(r.body) % SUBJECTS == 3]
        assert (
            tries[:-1]
            == [number for number in sorted(set(tries)) for _ in range(4)][: len(tries) - 1]
        )


async def retry_some(service: Service, status: str) -> list[str]:
    """Retry some of the deliveries with this status by hand; return the ids of their events."""
    await eventually(
        lambda: service.read(f"/v1/deliveries?status={status}&limit=1"),
        lambda page: bool(page["items"]),
    )
    chosen = (await service.deliveries(f"&status={status}"))[::3]
    for each in chosen:
        answer = await service.api.post(f"/v1/deliveries/{each['id']}/retry", None)
        assert answer.status_code == 202, answer.text
    return [each["eventId"] for each in chosen]


async def test_a_subject_keeps_its_order_within_a_rate(processes: list[Service]) -> None:
    watch = Watch(failing=3)
    async with receiving(watch) as receiver:
        limits = {"maxInFlight": 16, "rateLimit": 100}
        await processes[0].an_integration(receiver, ordering="subject", **limits)
        sender = Sender(*processes)
        await sender.batch(40)
        await retry_some(processes[0], "pending")
        await sender.singles(10)
        await until_all_came(receiver, sender)
        again = await retry_some(processes[-1], "failed")
        for event_id in again:
            assert (await processes[0].settled_delivery(event_id))["status"] == "failed"
        assert watch.overlapped == []
        for order in by_subject(numbers(receiver)).values():
            assert order == sorted(order)


async def test_a_subject_keeps_its_order_through_a_pause_and_its_probes(together: Services) -> None:
    settings = {"PAUSE_AFTER": "5", "PAUSE_AFTER_SECONDS": "0", "PROBE_INTERVAL": "0.2"}
    processes = [await together.start(**SOON, **settings) for _ in range(2)]
    watch = Watch()
    watch.down = True
    async with receiving(watch) as receiver:
        made = await processes[0].an_integration(receiver, ordering="subject", maxInFlight=4)
        path = f"/v1/integrations/{made['id']}"
        sender = Sender(*processes)
        await sender.batch(40)
        await eventually(
            lambda: processes[0].read(path), lambda read: read["health"]["state"] == "paused"
        )
        await sender.batch(20)
        await retry_some(processes[1], "pending")
        asked = len(receiver.requests)
        await receiver.until_asked(asked + 2, within=PATIENCE)  # two probes at the least
        watch.down = False
        await until_all_came(receiver, sender)
        assert watch.overlapped == []
        for order in by_subject(numbers(receiver)).values():
            assert order == sorted(order)
        for event_id in sender.accepted[-SUBJECTS:]:
            [outcome] = (await processes[0].settled(event_id)).values()
            assert outcome["status"] == "delivered"


async def test_a_subject_keeps_its_order_when_processes_die(
    processes: list[Service], together: Services
) -> None:
    async with receiving() as receiver:
        await processes[0].an_integration(receiver, ordering="subject", maxInFlight=4)
        sender = Sender(*processes)
        await sender.batch(200)
        await receiver.until_asked(50, within=PATIENCE)
        for each in processes:
            await each.kill()
        sender.services = (await together.start(**SOON),)
        await sender.batch(50)
        await until_all_came(receiver, sender)
        for order in by_subject(numbers(receiver)).values():
            assert order == sorted(order)


async def test_a_lease_that_ran_out_during_a_slow_append_is_nobodys(
    tmp_path: Path, databases: Databases
) -> None:
    """Its delivery is claimed anew, and the process that stored it does not send it as well."""
    short = {"DELIVERY_TIMEOUT": "1", "LEASE_MARGIN": "1", "POLL_INTERVAL": "0.2"}  # 2 s in all
    ran_out = (
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock'"
        " and query like '-- append:%' and clock_timestamp() - query_start > interval '3 seconds')"
    )
    async with (
        databases.migrated() as dsn,
        services(tmp_path, DATABASE_URL=dsn) as started,
        connection(dsn) as other,
        receiving() as receiver,
    ):
        one, _ = [await started.start(**short) for _ in range(2)]
        await one.an_integration(receiver)
        async with other.transaction():
            await other.execute("lock table pending in share mode")
            sending = asyncio.create_task(one.send(an_event()))
            await eventually(lambda: ask(dsn, ran_out), bool)
        receipt = await sending
        delivery = await one.settled_delivery(receipt["eventId"])
        assert (delivery["status"], len(delivery["attempts"])) == ("delivered", 1)
        assert len(receiver.requests) == 1


async def test_order_that_is_asked_for_while_deliveries_wait_counts_for_them_too(
    service: Service,
) -> None:
    opened = asyncio.Event()
    watch = Watch()

    async def wait_first(exchange: Exchange) -> None:
        await opened.wait()
        await watch(exchange)

    async with receiving(wait_first) as receiver:
        made = await service.an_integration(receiver, maxInFlight=2)
        sender = Sender(service)
        await sender.batch(100)
        await receiver.until_asked(2, within=PATIENCE)
        path = f"/v1/integrations/{made['id']}"
        assert (await service.api.patch(path, {"ordering": "subject"})).status_code == 200
        await service.api.patch(path, {"maxInFlight": 16})
        await sender.batch(100)
        opened.set()
        await until_all_came(receiver, sender)
        assert watch.overlapped == []
        for order in by_subject(numbers(receiver)).values():
            assert order == sorted(order)

        patched = await service.api.patch(path, {"ordering": "none", "maxInFlight": 1})
        assert patched.json()["ordering"] == "none"
        await sender.batch(100)
        await until_all_came(receiver, sender)
        assert numbers(receiver)[200:] == list(range(200, 300))


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
async def consumer(moto: str) -> AsyncIterator[Consumer]:
    opened = Consumer(moto)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("engines", "size"),
    [
        pytest.param(1, MOST, marks=pytest.mark.soak),
        pytest.param(2, MOST, marks=pytest.mark.soak),
        (2, 60),
    ],
)
async def test_a_fifo_queue_gets_every_call_in_order_whoever_dies(
    together: Services, moto: str, consumer: Consumer, engines: int, size: int
) -> None:
    name = f"pbx-events-{engines}-{size}.fifo"
    queue = await asyncio.to_thread(consumer.create, name, FifoQueue="true")
    settings = SOON | {"SQS_ENDPOINT_URL": moto}
    processes = [await together.start(**settings) for _ in range(engines)]
    document = a_queue(events={"analytics": "all"})
    document["transmission"]["url"] += f"-{engines}-{size}.fifo"
    created = await processes[0].api.post("/v1/integrations", document)
    assert (created.status_code, created.json()["ordering"]) == (201, "subject"), created.text
    sender = Sender(*processes)
    await sender.batch(size)
    await sender.singles(10)
    messages = await asyncio.to_thread(consumer.read, queue, size // 4)
    for each in processes:
        await each.kill()
    again = await together.start(**settings)
    sender.services = (again,)
    await sender.batch(20)
    while len({number_of(message["Body"]) for message in messages}) < len(sender.accepted):
        # An emulator takes the longer for each message the more of them nobody has read.
        messages += await asyncio.to_thread(consumer.read, queue, len(sender.accepted))
    for event_id in sender.accepted[-2 * SUBJECTS :]:  # the last of each call, before and after
        await again.settled(event_id)

    order = list(dict.fromkeys(number_of(message["Body"]) for message in messages))
    assert sorted(order) == list(range(len(sender.accepted)))
    for one_subject in by_subject(order).values():
        assert one_subject == sorted(one_subject)
