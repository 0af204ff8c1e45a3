import asyncio
from collections.abc import Generator
from itertools import pairwise
from uuid import UUID

import pytest

from hookline.api.fairness import TimeSlices
from hookline.domain.ids import new_uuid


class Steps:
    """Jobs that note which of them took a step."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def job(self, name: str, steps: int) -> Generator[None, None, str]:
        for _ in range(steps):
            self.taken.append(name)
            yield
        return name


def slices() -> tuple[TimeSlices, list[UUID]]:
    charged: list[UUID] = []
    return TimeSlices(lambda key_id, _seconds: charged.append(key_id)), charged


async def test_keys_take_turns_however_many_jobs_one_of_them_has() -> None:
    steps, (time_slices, _) = Steps(), slices()
    busy, other = new_uuid(), new_uuid()
    jobs = [time_slices.run(busy, steps.job(f"busy {number}", 10)) for number in range(20)]
    jobs.append(time_slices.run(other, steps.job("other", 3)))
    results = await asyncio.gather(*jobs)
    assert results[0] == "busy 0"
    assert results[-1] == "other"
    assert steps.taken.index("other") == 1
    assert steps.taken[:7].count("other") == 3


async def test_the_loop_goes_round_between_any_two_steps() -> None:
    steps, (time_slices, _) = Steps(), slices()
    jobs = asyncio.gather(*(time_slices.run(new_uuid(), steps.job("job", 5)) for _ in range(10)))
    while not jobs.done():
        before = len(steps.taken)
        await asyncio.sleep(0)
        assert len(steps.taken) - before <= 1
    assert len(steps.taken) == 50


async def test_a_long_step_leaves_more_rounds_to_others_than_a_short_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, rounds, seen = 0.0, 0, []
    monkeypatch.setattr("hookline.api.fairness.time.thread_time", lambda: now)

    def job() -> Generator[None]:
        nonlocal now
        for milliseconds in (0.0, 1.1, 3.1, 1_000.0, 0.0):
            seen.append(rounds)
            now += milliseconds / 1_000
            yield

    time_slices, _ = slices()
    running = asyncio.create_task(time_slices.run(new_uuid(), job()))
    while not running.done():
        rounds += 1
        await asyncio.sleep(0)
    assert [after - before for before, after in pairwise(seen)] == [1, 5, 13, 17]


async def test_every_step_is_charged_to_its_key_whatever_becomes_of_the_job() -> None:
    def fails() -> Generator[None]:
        yield
        raise ValueError("no such thing")

    time_slices, charged = slices()
    key_id = new_uuid()
    with pytest.raises(ValueError, match="no such thing"):
        await time_slices.run(key_id, fails())
    assert charged == [key_id, key_id]


async def test_a_job_that_nobody_waits_for_any_more_ends() -> None:
    steps, (time_slices, _) = Steps(), slices()
    key_id = new_uuid()
    abandoned = asyncio.create_task(time_slices.run(key_id, steps.job("abandoned", 1_000_000)))
    await asyncio.sleep(0)
    abandoned.cancel()
    assert await time_slices.run(key_id, steps.job("next", 1)) == "next"
    assert steps.taken.count("abandoned") < 3
