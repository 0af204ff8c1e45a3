"""Worker processes' numbers: added up, never lower than before, whoever answers or died."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hookline.background import Periodic
from hookline.dispatch.backpressure import Backpressure
from hookline.dispatch.observer import Receipt
from hookline.domain.health import HealthState
from hookline.domain.ids import new_uuid
from hookline.errors import Unavailable
from hookline.metrics import exposition
from hookline.metrics.counters import Counters
from hookline.metrics.exposition import Metrics
from hookline.metrics.multiprocess import WorkerMetricsFiles, added
from support.fakes import FakeClock, NoStreams
from support.scraping import Scraped, parsed
from support.service import eventually

if TYPE_CHECKING:
    from hookline.metrics.definitions import Numbers

ACCEPTED = "hookline_events_total"


class Nobody:
    def find(self, integration_id: str) -> None:
        del integration_id


class Worker:
    """One of several processes: its counts, and its answer to a scrape."""

    def __init__(self, folder: Path, number: int, clock: Callable[[], float]) -> None:
        self.counts = Counters(Nobody())
        self.metrics = Metrics(
            self.counts,
            Backpressure.none(),
            no_integrations,
            refused_keys=lambda: 0,
            refused_rate=lambda: 0,
            streams=NoStreams(),
            worker_files=WorkerMetricsFiles(folder / str(number), clock=clock),
        )

    def accept(self, events: int) -> None:
        self.counts.accepted([Receipt(new_uuid(), duplicate=False, deliveries=1)] * events)

    async def scrape(self) -> Scraped:
        return parsed((await self.metrics.text()).decode())

    async def accepted(self) -> float:
        return (await self.scrape()).value(ACCEPTED, result="accepted")


async def no_integrations() -> dict[HealthState, int]:
    return dict.fromkeys(HealthState, 0)


def alone(
    count_by_state: Callable[[], Awaitable[Mapping[HealthState, int]]], clock: Callable[[], float]
) -> Metrics:
    return Metrics(
        Counters(Nobody()),
        Backpressure.none(),
        count_by_state,
        refused_keys=lambda: 3,
        refused_rate=lambda: 4,
        streams=NoStreams(),
        clock=clock,
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def workers(tmp_path: Path, clock: FakeClock) -> list[Worker]:
    return [Worker(tmp_path, number, clock) for number in range(3)]


async def test_whoever_is_asked_answers_for_all(workers: list[Worker]) -> None:
    for number, worker in enumerate(workers):
        worker.accept(10**number)
        await worker.scrape()
    assert [await worker.accepted() for worker in workers] == [111, 111, 111]
    seen = await workers[0].scrape()
    assert seen.value("hookline_processes") == 3
    memory = seen.labelled("process_resident_memory_bytes", "worker")
    assert memory.keys() == {"0", "1", "2"}
    assert all(taken > 1_000_000 for taken in memory.values())


async def test_no_answer_is_lower_than_one_before_it(workers: list[Worker]) -> None:
    last = 0.0
    for turn in range(30):
        workers[turn % 3].accept(turn)
        accepted = await workers[(turn * 2) % 3].accepted()
        assert accepted >= last
        last = accepted
    assert await workers[0].accepted() <= sum(range(30))
    for worker in workers:
        last = await worker.accepted()
    assert last == sum(range(30))


async def test_what_a_dead_worker_counted_stays_and_what_it_held_does_not(
    workers: list[Worker], tmp_path: Path, clock: FakeClock
) -> None:
    for worker in workers:
        worker.accept(5)
        await worker.scrape()
    clock.now += 60
    seen = await workers[0].scrape()
    assert seen.value(ACCEPTED, result="accepted") == 15
    assert seen.value("hookline_processes") == 1
    assert seen.labelled("process_resident_memory_bytes", "worker").keys() == {"0"}
    again = Worker(tmp_path, 1, clock)
    again.accept(1)
    assert await again.accepted() == 16
    assert names_in(tmp_path) == ["0", "1", "2"], "no more files than processes"


async def test_a_worker_writes_before_anybody_asks(tmp_path: Path, clock: FakeClock) -> None:
    quiet, asked = (Worker(tmp_path, number, clock) for number in range(2))
    quiet.accept(7)
    keeping = asyncio.create_task(Periodic("metrics", quiet.metrics.write, 0.1).run())
    assert await eventually(asked.accepted, lambda accepted: accepted >= 7) == 7
    keeping.cancel()


async def test_a_worker_that_cannot_write_gives_no_lower_answer(
    tmp_path: Path, clock: FakeClock
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    worker = Worker(folder, 0, clock)
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        await worker.scrape()


def test_numbers_are_added_series_by_series() -> None:
    one: Numbers = {"a": {("x",): [1.0], ("y",): [2.0]}, "h": {(): [1.0, 0.0, 0.5]}}
    other: Numbers = {"a": {("y",): [3.0], ("z",): [4.0]}, "h": {(): [0.0, 2.0, 2.5]}}
    assert added([one, other]) == {
        "a": {("x",): [1.0], ("y",): [5.0], ("z",): [4.0]},
        "h": {(): [1.0, 2.0, 3.0]},
    }
    assert one["a"]["y",] == [2.0], "what is added stays as it was"
    assert added([]) == {}


async def test_while_the_database_is_away_the_rest_is_told(clock: FakeClock) -> None:
    away = True

    async def count_by_state() -> Mapping[HealthState, int]:
        if away:
            raise Unavailable("The database is away.")
        return await no_integrations()

    metrics = alone(count_by_state, clock)
    seen = parsed((await metrics.text()).decode())
    assert seen.value("hookline_database_up") == 0
    assert "hookline_integrations" not in seen.kinds, "old numbers would pass for new ones"
    assert seen.value("hookline_keys_refused_total") == 3
    assert seen.value("hookline_events_refused_total", reason="rate") == 4
    away = False
    clock.now += 1
    back = parsed((await metrics.text()).decode())
    assert back.value("hookline_database_up") == 1
    assert back.value("hookline_integrations", state="healthy") == 0


async def test_a_database_that_hangs_is_not_waited_for(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "_PATIENCE", 0.01)

    async def count_by_state() -> Mapping[HealthState, int]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    seen = parsed((await alone(count_by_state, clock).text()).decode())
    assert seen.value("hookline_database_up") == 0


async def test_many_scrapes_ask_the_database_once_a_second(clock: FakeClock) -> None:
    asked = 0

    async def count_by_state() -> Mapping[HealthState, int]:
        nonlocal asked
        asked += 1
        return await no_integrations()

    metrics = alone(count_by_state, clock)
    await asyncio.gather(*(metrics.text() for _ in range(20)))
    assert asked == 1
    clock.now += 1
    await metrics.text()
    assert asked == 2


async def test_who_asks_and_goes_away_leaves_whole_files(workers: list[Worker]) -> None:
    for turn in range(1, 30):
        workers[0].accept(1)
        asking = asyncio.create_task(workers[0].scrape())
        await asyncio.sleep(0)  # it has begun
        asking.cancel()
        assert await workers[0].accepted() == turn
        assert await workers[1].accepted() == turn
