import asyncio
from contextlib import AsyncExitStack

from hypothesis import given
from hypothesis import strategies as st

from hookline.db.fleet import Fleet
from hookline.db.listen import Listener
from hookline.dispatch.shares import Shares
from support.engines import eventually
from support.postgres_clients import ask

SETTLING = 7.0  # seconds
INTEGRATIONS = ("s95eum", "x1y2z3", "aaaaaa", "zz9plz")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def shares_of(clock: Clock) -> Shares:
    return Shares(settling=SETTLING, clock=clock)


def settled(rank: int, size: int) -> Shares:
    clock = Clock()
    shares = shares_of(clock)
    shares.learn(rank, size)
    clock.now += SETTLING
    shares.learn(rank, size)
    return shares


@given(
    most=st.integers(1, 1_000), size=st.integers(1, 70), integration=st.sampled_from(INTEGRATIONS)
)
def test_all_engines_together_have_what_there_is_and_each_at_least_one(
    most: int, size: int, integration: str
) -> None:
    given_out = [settled(rank, size).of(integration, most) for rank in range(size)]
    assert sum(given_out) == max(most, size)
    assert min(given_out) >= 1
    assert max(given_out) - min(given_out) <= 1


def test_what_does_not_divide_evenly_goes_to_another_engine_for_another_integration() -> None:
    integrations = [f"made{number:02}" for number in range(90)]
    larger = [sum(settled(rank, 3).of(each, 16) == 6 for each in integrations) for rank in range(3)]
    assert sum(larger) == len(integrations)
    assert min(larger) > 15


def test_an_engine_that_is_alone_has_everything_from_its_first_count_on() -> None:
    shares = shares_of(Clock())
    shares.learn(0, 1)
    assert shares.of("s95eum", 16) == 16


def test_an_engine_that_comes_to_others_begins_with_one_for_a_second() -> None:
    clock = Clock()
    shares = shares_of(clock)
    shares.learn(1, 2)
    assert shares.of("s95eum", 16) == 1
    clock.now += 0.9
    shares.learn(1, 2)
    assert shares.of("s95eum", 16) == 1
    clock.now += 0.1
    shares.learn(1, 2)
    assert shares.of("s95eum", 16) == 8


def test_a_share_shrinks_at_once_when_another_engine_comes() -> None:
    clock = Clock()
    shares = shares_of(clock)
    shares.learn(0, 1)
    shares.learn(0, 4)
    assert shares.of("s95eum", 16) == 4


def test_a_share_grows_only_when_what_the_other_had_under_way_has_ended() -> None:
    clock = Clock()
    shares = shares_of(clock)
    shares.learn(0, 1)
    shares.learn(0, 2)
    clock.now += 100
    shares.learn(0, 2)
    clock.now += 2
    shares.learn(0, 1)
    assert shares.of("s95eum", 16) == 8
    clock.now += SETTLING - 2
    shares.learn(0, 1)
    assert shares.of("s95eum", 16) == 16


def test_an_engine_that_is_out_of_sight_for_a_moment_keeps_its_share() -> None:
    clock = Clock()
    shares = shares_of(clock)
    shares.learn(0, 1)
    for size in (2, 1, 1, 2, 1, 2):
        shares.learn(0, size)
        assert shares.of("s95eum", 16) == 8
        clock.now += 2


def test_those_who_leave_one_after_another_give_their_shares_back_one_after_another() -> None:
    clock = Clock()
    shares = shares_of(clock)
    seen = []
    for size in (1, 4, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1):
        shares.learn(0, size)
        seen.append(shares.of("s95eum", 24))
        clock.now += 2
    assert seen == [24, 6, 6, 6, 6, 6, 8, 8, 12, 12, 24, 24, 24, 24]


class Present:
    """An engine's listener with its shares, counted twenty times a second."""

    def __init__(self, dsn: str) -> None:
        self.shares = Shares(settling=0.2)
        listener = Listener(dsn, {}, Fleet(self.shares.learn, every=0.05))
        self.task = asyncio.create_task(listener.run())

    async def until(self, share: int) -> None:
        async def of_twelve() -> int:
            return self.shares.of("s95eum", 12)

        await eventually(of_twelve, lambda found: found == share)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_the_share_of_an_engine_that_dies_goes_to_the_others(database: str) -> None:
    async with AsyncExitStack() as stack:
        present = [Present(database) for _ in range(3)]
        for each in present:
            stack.push_async_callback(each.end)
        for each in present:
            await each.until(4)
        await present[2].end()
        for each in present[:2]:
            await each.until(6)
        await present[1].end()
        await present[0].until(12)


async def test_engines_whose_sessions_are_all_cut_at_once_keep_their_shares(database: str) -> None:
    cut = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where application_name = 'hookline listener' and datname = current_database()"
    )
    async with AsyncExitStack() as stack:
        present = [Present(database) for _ in range(2)]
        for each in present:
            each.shares.settling = 30.0
            stack.push_async_callback(each.end)
        for each in present:
            await each.until(6)
        for _ in range(3):
            await eventually(lambda: ask(database, cut), lambda count: count > 0)
            assert [each.shares.of("s95eum", 12) for each in present] == [6, 6]
