import asyncio

import pytest

from hookline.deadlines import Deadlines

SHORT = 0.02  # seconds; nothing here depends on how long it takes


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_what_takes_too_long_ends_with_a_timeout() -> None:
    deadlines = Deadlines(SHORT)
    with pytest.raises(TimeoutError), deadlines.start():
        await for_ever()
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_what_ends_in_time_is_left_alone() -> None:
    deadlines = Deadlines(SHORT)
    for _ in range(3):
        with deadlines.start():
            await asyncio.sleep(0)
    with pytest.raises(TimeoutError), deadlines.start():
        await for_ever()


async def test_each_of_many_runs_out_and_the_others_go_on() -> None:
    deadlines = Deadlines(SHORT)
    ended: list[int] = []

    async def work(number: int) -> None:
        with deadlines.start():
            if number % 3:
                await for_ever()
        ended.append(number)

    results = await asyncio.gather(*(work(number) for number in range(30)), return_exceptions=True)
    assert ended == list(range(0, 30, 3))
    assert [type(each) for each in results if each is not None] == [TimeoutError] * 20


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    deadlines = Deadlines(60.0)

    async def work() -> None:
        with deadlines.start():
            await for_ever()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_comes_along_with_the_timeout_wins() -> None:
    deadlines = Deadlines(SHORT)
    task: asyncio.Task[None]

    async def work() -> None:
        with deadlines.start():
            try:
                await for_ever()
            except asyncio.CancelledError:
                task.cancel()
                raise

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_work_is_not_covered_up() -> None:
    deadlines = Deadlines(SHORT)

    async def work() -> None:
        with deadlines.start():
            try:
                await for_ever()
            except asyncio.CancelledError:
                raise ValueError("while it was ended") from None

    with pytest.raises(ValueError, match="while it was ended"):
        await work()


async def test_one_deadline_inside_another() -> None:
    outer, inner = Deadlines(60.0), Deadlines(SHORT)
    with outer.start():
        with pytest.raises(TimeoutError), inner.start():
            await for_ever()
        await asyncio.sleep(0)


def test_it_is_for_tasks() -> None:
    async def nothing() -> None:
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[bool] = loop.create_future()

        def outside() -> None:
            with pytest.raises(RuntimeError, match="task"):
                Deadlines(1.0).start()
            failed.set_result(True)

        loop.call_soon(outside)
        assert await failed

    asyncio.run(nothing())


async def test_who_catches_the_cancellation_of_an_expired_deadline_may_leave_with_a_result() -> (
    None
):
    async def attempt() -> str:
        with Deadlines(0.01).start() as deadline:
            assert not deadline.expired
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                assert deadline.expired
        return "as far as it came"

    assert await asyncio.create_task(attempt()) == "as far as it came"


async def test_a_deadline_that_ran_out_is_not_expired_for_who_was_cancelled_as_well() -> None:
    async def attempt() -> None:
        with Deadlines(0.01).start() as deadline:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                assert not deadline.expired
                raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(attempt())
