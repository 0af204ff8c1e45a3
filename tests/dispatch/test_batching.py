import asyncio
import gc
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from hookline.dispatch.batching import Batcher
from hookline.errors import Overloaded, Unavailable


class Flushes:
    """Keeps what was flushed; holds flushes back, or fails them, as a test says."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.open = asyncio.Event()
        self.open.set()
        self.began = asyncio.Event()
        self.refuse: Callable[[Sequence[int]], Exception | None] = lambda _items: None

    async def __call__(self, items: Sequence[int]) -> list[str]:
        self.batches.append(list(items))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.began.set()
        try:
            await self.open.wait()
            if error := self.refuse(items):
                raise error
        finally:
            self.under_way -= 1
        return [f"{item}!" for item in items]

    def hold(self) -> None:
        self.open.clear()
        self.began.clear()


@pytest.fixture
def flushes() -> Flushes:
    return Flushes()


def a_batcher(flushes: Flushes, *, largest: int = 500, writers: int = 1) -> Batcher[int, str]:
    return Batcher(flushes, name="test", largest=largest, writers=writers)


LONG = 3_600.0  # seconds that nobody waits for


async def test_owners_take_turns_however_much_one_of_them_offers(flushes: Flushes) -> None:
    batcher = a_batcher(flushes, largest=3)
    busy, other = frozenset({"busy"}), frozenset({"other"})
    offered = [batcher.submit([number], owners=busy) for number in range(5)]
    await asyncio.gather(*offered, batcher.submit([10], owners=other))
    assert flushes.batches == [[0, 10, 1], [2, 3, 4]]


async def test_nobody_waits_for_what_is_heavy_of_another(flushes: Flushes) -> None:
    batcher = Batcher[int, str](flushes, name="test", heavy=10)
    flushes.hold()
    heavy = [
        asyncio.create_task(batcher.submit([number], owners=frozenset({f"{number}"}), weight=10))
        for number in (1, 2)
    ]
    await flushes.began.wait()
    flushes.began.clear()
    more = asyncio.create_task(batcher.submit([3], owners=frozenset({"3"}), weight=10))
    own = asyncio.create_task(batcher.submit([4], owners=frozenset({"1", "4"})))
    light = asyncio.create_task(batcher.submit([5], owners=frozenset({"5"})))
    await flushes.began.wait()
    assert flushes.batches == [[1, 2], [5]]  # both under way
    flushes.open.set()
    await asyncio.gather(*heavy, more, own, light)
    assert flushes.batches[:2] == [[1, 2], [5]]
    assert sorted(flushes.batches[2:]) == [[3], [4]]
    assert flushes.most_under_way == 2


async def test_what_is_light_begins_as_soon_as_something_heavy_does(flushes: Flushes) -> None:
    batcher = Batcher[int, str](flushes, name="test", heavy=10)
    flushes.hold()
    offered = [
        asyncio.create_task(batcher.submit([1], owners=frozenset({"1"}), weight=10)),
        asyncio.create_task(batcher.submit([2], owners=frozenset({"2"}))),
    ]
    while len(flushes.batches) < 2:
        await flushes.began.wait()
        await asyncio.sleep(0)
    assert flushes.batches == [[1], [2]]
    flushes.open.set()
    await asyncio.gather(*offered)


class Told:
    """Waits as a task would, without one: a future gets what a waiter is told."""

    def __init__(self) -> None:
        self.future: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    def answer(self, results: Sequence[str]) -> None:
        self.future.set_result(list(results))

    def refuse(self, error: Exception) -> None:
        self.future.set_exception(error)


def offer(batcher: Batcher[int, str], items: Sequence[int]) -> asyncio.Future[list[str]]:
    told = Told()
    batcher.offer(items, told)
    return told.future


async def test_each_caller_gets_its_own_results_in_order(flushes: Flushes) -> None:
    batcher = a_batcher(flushes)
    offered = [offer(batcher, [1, 2]), offer(batcher, []), offer(batcher, [3])]
    assert [await each for each in offered] == [["1!", "2!"], [], ["3!"]]
    assert flushes.batches == [[1, 2, 3]]


async def test_a_batch_that_lingers_is_written_when_its_time_is_over(flushes: Flushes) -> None:
    batcher = Batcher[int, str](flushes, name="test", linger=0.001)
    first = offer(batcher, [1])
    await asyncio.sleep(0)
    second = offer(batcher, [2])
    await asyncio.gather(first, second)
    assert flushes.batches == [[1, 2]]


async def test_an_urgent_submission_takes_those_that_linger_along(flushes: Flushes) -> None:
    batcher = Batcher[int, str](flushes, name="test", linger=LONG)
    first, urgent = offer(batcher, [1]), Told()
    await asyncio.sleep(0)
    batcher.offer([2], urgent, urgent=True)
    assert [await first, await urgent.future] == [["1!"], ["2!"]]
    assert flushes.batches == [[1, 2]]


async def test_enough_submissions_do_not_linger(flushes: Flushes) -> None:
    batcher = Batcher[int, str](flushes, name="test", linger=LONG)
    await asyncio.gather(*(offer(batcher, [number]) for number in range(64)))
    assert flushes.batches == [list(range(64))]


async def test_nothing_lingers_while_somebody_waits_for_all_to_be_written(
    flushes: Flushes,
) -> None:
    batcher = Batcher[int, str](flushes, name="test", linger=LONG)
    offered = offer(batcher, [1])
    await batcher.idle()
    assert offered.done()


async def test_what_comes_during_a_write_is_the_next_batch(flushes: Flushes) -> None:
    batcher = a_batcher(flushes)
    flushes.hold()
    first = asyncio.create_task(batcher.submit([1]))
    await flushes.began.wait()
    others = [asyncio.create_task(batcher.submit([number])) for number in range(2, 12)]
    await asyncio.sleep(0)
    flushes.open.set()
    assert await first == ["1!"]
    assert [await other for other in others] == [[f"{number}!"] for number in range(2, 12)]
    assert flushes.batches == [[1], list(range(2, 12))]


async def test_batches_are_of_whole_submissions_and_bounded(flushes: Flushes) -> None:
    batcher = a_batcher(flushes, largest=5)
    await asyncio.gather(*(batcher.submit([number] * 2) for number in range(4)))
    assert flushes.batches == [[0, 0, 1, 1], [2, 2, 3, 3]]


async def test_a_submission_larger_than_a_batch_is_written_alone(flushes: Flushes) -> None:
    batcher = a_batcher(flushes, largest=2)
    offered = [offer(batcher, [1, 2, 3]), offer(batcher, [4])]
    assert [await each for each in offered] == [["1!", "2!", "3!"], ["4!"]]
    assert flushes.batches == [[1, 2, 3], [4]]


async def test_no_more_writers_than_allowed_write_at_a_time(flushes: Flushes) -> None:
    batcher = a_batcher(flushes, largest=1, writers=2)
    flushes.hold()
    waiting = [asyncio.create_task(batcher.submit([number])) for number in range(10)]
    await flushes.began.wait()
    await asyncio.sleep(0)
    flushes.open.set()
    await asyncio.gather(*waiting)
    assert flushes.most_under_way == 2
    assert sorted(flushes.batches) == [[number] for number in range(10)]


async def test_one_bad_submission_spoils_no_other(flushes: Flushes) -> None:
    batcher = a_batcher(flushes)
    flushes.refuse = lambda items: ValueError("13") if 13 in items else None
    answers = await asyncio.gather(
        *(batcher.submit([number]) for number in (1, 13, 2)), return_exceptions=True
    )
    assert answers[0] == ["1!"]
    assert isinstance(answers[1], ValueError)
    assert answers[2] == ["2!"]
    assert flushes.batches == [[1, 13, 2], [1], [13], [2]]
    assert await batcher.submit([4]) == ["4!"]


@pytest.mark.parametrize("error", [Unavailable("away"), Overloaded("busy", retry_after=1.0)])
async def test_a_store_that_is_away_is_told_to_all_and_asked_once(
    flushes: Flushes, error: Exception
) -> None:
    batcher = a_batcher(flushes)
    flushes.refuse = lambda _items: error
    answers = await asyncio.gather(
        *(batcher.submit([number]) for number in range(3)), return_exceptions=True
    )
    assert answers == [error] * 3
    assert flushes.batches == [[0, 1, 2]]


async def test_a_caller_that_gives_up_does_not_undo_the_write(flushes: Flushes) -> None:
    batcher = a_batcher(flushes)
    flushes.hold()
    patient = asyncio.create_task(batcher.submit([1]))
    impatient = asyncio.create_task(batcher.submit([2]))
    await flushes.began.wait()
    impatient.cancel()
    with suppress(asyncio.CancelledError):
        await impatient
    flushes.open.set()
    assert await patient == ["1!"]
    await batcher.idle()
    assert flushes.batches == [[1, 2]]


async def test_idle_means_that_everything_is_written(flushes: Flushes) -> None:
    batcher = a_batcher(flushes, largest=1)
    await batcher.idle()
    flushes.hold()
    futures = [offer(batcher, [number]) for number in range(3)]
    idle = asyncio.create_task(batcher.idle())
    await flushes.began.wait()
    assert not idle.done()
    flushes.open.set()
    await idle
    assert all(future.done() for future in futures)


async def test_what_comes_in_the_moment_a_writer_ends_is_written(flushes: Flushes) -> None:
    """A writer's last step answers its callers, who may offer more before its task is done."""
    batcher = a_batcher(flushes)
    second: list[asyncio.Future[list[str]]] = []
    first = offer(batcher, [1])
    first.add_done_callback(lambda _: second.append(offer(batcher, [2])))
    assert await first == ["1!"]
    [offered] = second
    async with asyncio.timeout(10):
        assert await offered == ["2!"]


async def test_who_chokes_on_its_answer_costs_others_nothing(flushes: Flushes) -> None:
    class Choking(Told):
        def answer(self, results: Sequence[str]) -> None:
            raise ValueError(results)

    batcher = a_batcher(flushes)
    with capture_logs() as logs:
        batcher.offer([1], Choking())
        assert await offer(batcher, [2]) == ["2!"]
    assert [log["event"] for log in logs] == ["batch.answer_failed"]
    assert await batcher.submit([3]) == ["3!"]


async def test_who_chokes_on_a_refusal_costs_others_nothing(flushes: Flushes) -> None:
    class Choking(Told):
        def refuse(self, error: Exception) -> None:
            raise ValueError from error

    batcher = a_batcher(flushes)
    flushes.refuse = lambda _items: Unavailable("away")
    with capture_logs() as logs:
        batcher.offer([1], Choking())
        with pytest.raises(Unavailable):
            await offer(batcher, [2])
    assert [log["event"] for log in logs] == ["batch.answer_failed"]


class Payload:
    """An item that can be watched."""


async def test_what_is_refused_is_not_left_to_the_garbage_collector() -> None:
    """Which counts objects, and not how large they are."""

    async def refuse(_items: Sequence[Payload]) -> list[str]:
        raise Unavailable("away")

    batcher = Batcher[Payload, str](refuse, name="test")
    items = [Payload() for _ in range(3)]
    watched = [weakref.ref(each) for each in items]

    async def submit() -> None:
        with suppress(Unavailable):
            await batcher.submit([items.pop()])

    gc.collect()
    gc.disable()
    try:
        await asyncio.gather(*(submit() for _ in watched))
        await batcher.idle()
        await asyncio.sleep(0)  # the loop lets go of what it called last
        assert not any(each() for each in watched)
    finally:
        gc.enable()
