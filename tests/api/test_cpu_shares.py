"""Who used more CPU time than a share waits, but only beside others."""

import asyncio
from collections.abc import Generator
from uuid import uuid4

import pytest

from hookline.api.cpu_shares import _MOST_OPENING as MOST_OPENING
from hookline.api.cpu_shares import CpuShares
from hookline.api.fairness import TimeSlices
from hookline.domain.access import Principal, Role
from hookline.errors import Overloaded
from support.fakes import FakeClock

HEAVY = Principal(uuid4(), Role.MANAGER, "heavy", company="it_heavy01")
HEAVYS_OTHER_KEY = Principal(uuid4(), Role.INGEST, "heavy too", company="it_heavy01")
LIGHT = Principal(uuid4(), Role.INGEST, "light", pbx="000000000001")
OPERATOR = Principal(uuid4(), Role.ADMIN, "operator")


class Clock(FakeClock):
    """Goes on by what is slept, and when told."""

    slept = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made, sleep = Clock(), asyncio.sleep

    async def slept(seconds: float) -> None:
        made.now += seconds
        made.slept += seconds
        await sleep(0)

    monkeypatch.setattr("hookline.api.cpu_shares.asyncio.sleep", slept)
    return made


@pytest.fixture
async def shares(clock: Clock) -> CpuShares:
    """Shares of a process to which both tenants have just sent a request."""
    made = CpuShares(clock)
    await made.throttle(LIGHT)
    await made.throttle(HEAVY)
    return made


async def test_who_is_alone_uses_all_of_it(clock: Clock) -> None:
    shares = CpuShares(clock)
    for _ in range(10):
        await shares.throttle(HEAVY)
        await shares.throttle(HEAVYS_OTHER_KEY)  # the same tenant
        assert shares.charge(HEAVY, 5.0) == 0.0
    assert clock.slept == 0.0


async def test_beside_others_a_tenant_has_a_quarter_and_waits_for_it_with_all_its_keys(
    shares: CpuShares, clock: Clock
) -> None:
    assert shares.charge(HEAVY, 0.01) == 0.0  # a short burst
    assert shares.charge(HEAVY, 0.11) == pytest.approx(0.4, abs=0.002)
    await shares.throttle(LIGHT)
    assert clock.slept == 0.0
    await shares.throttle(HEAVYS_OTHER_KEY)
    assert 0.4 <= clock.slept < 0.41


async def test_one_long_step_is_forgiven_beyond_four_seconds(shares: CpuShares) -> None:
    assert shares.charge(HEAVY, 60.0) == pytest.approx(4.0)


async def test_nobody_is_held_back_once_the_others_are_gone(
    shares: CpuShares, clock: Clock
) -> None:
    shares.charge(HEAVY, 0.5)
    clock.now += 1.0  # half of what it has to wait
    await shares.throttle(HEAVY)
    assert clock.slept == 0.0


async def test_keys_of_the_operators_own_are_never_held_back(
    shares: CpuShares, clock: Clock
) -> None:
    assert shares.charge(OPERATOR, 5.0) == 0.0
    await shares.throttle(OPERATOR)
    assert clock.slept == 0.0
    assert shares.charge(HEAVY, 0.12) > 0  # they are others to the tenants, though


async def test_too_many_that_wait_are_told_so_and_others_are_not(shares: CpuShares) -> None:
    shares.charge(HEAVY, 0.5)
    waiting = [asyncio.create_task(shares.throttle(HEAVY)) for _ in range(65)]
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in told].count(Overloaded) == 1
    await shares.throttle(LIGHT)


async def test_more_requests_wait_that_open_streams_and_take_no_others_place(
    shares: CpuShares, clock: Clock
) -> None:
    shares.charge(HEAVY, 0.1)
    opening = [
        asyncio.create_task(shares.throttle(HEAVY, opens_stream=True)) for _ in range(MOST_OPENING)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await shares.throttle(HEAVY, opens_stream=True)
    clock.now += 1000.0
    await asyncio.gather(*opening, shares.throttle(HEAVY))


async def test_work_is_measured_step_by_step_whatever_becomes_of_it(
    shares: CpuShares, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0
    monkeypatch.setattr("hookline.api.cpu_shares.time.thread_time", lambda: seconds)
    event = asyncio.Event()

    async def work() -> str:
        nonlocal seconds
        seconds += 0.02
        try:
            await event.wait()
        except asyncio.CancelledError:
            seconds += 0.1
            raise
        return "done"

    cancelled = asyncio.ensure_future(_running(shares, work()))
    await asyncio.wait([cancelled], timeout=0)
    while seconds == 0.0:
        await asyncio.wait([cancelled], timeout=0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert shares.charge(HEAVY, 0.0) == pytest.approx(0.4, abs=0.002)
    event.set()
    assert await shares.measured(LIGHT, work()) == "done"
    assert await shares.measured(OPERATOR, work()) == "done"


async def _running(shares: CpuShares, work: object) -> object:
    return await shares.measured(HEAVY, work)  # type: ignore[arg-type]  # a coroutine


async def test_a_key_that_rests_leaves_the_steps_to_others() -> None:
    taken: list[str] = []

    def job(name: str, steps: int) -> Generator[None, None, str]:
        for _ in range(steps):
            taken.append(name)
            yield
        return name

    slices = TimeSlices(lambda _key, _seconds: None)
    resting = asyncio.create_task(slices.run(uuid4(), job("rests", 4), lambda _spent: 60.0))
    assert await slices.run(uuid4(), job("others", 100)) == "others"
    assert taken.count("rests") == 1
    resting.cancel()
