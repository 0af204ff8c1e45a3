import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.db.listener import EngineMembership, Listener
from hookline.dispatch.rules import LaneAssignment
from support.fakes import FakeClock
from support.service import eventually

JOINING = 3.0  # seconds
INTEGRATIONS = [f"made{number:02}" for number in range(90)]


def shares_of(mine: int, *places: int) -> LaneAssignment:
    """Return the shares of an engine that was there before the others came."""
    shares = LaneAssignment(clock=FakeClock())
    shares.learn(mine, [mine])
    shares.learn(mine, places)
    return shares


def lanes_of(shares: LaneAssignment) -> set[str]:
    return {each for each in INTEGRATIONS if shares.term(each)}


@settings(deadline=None)
@given(places=st.sets(st.integers(0, 9_999), min_size=1, max_size=20))
def test_each_lane_belongs_to_one_engine(places: set[int]) -> None:
    owned = Counter(each for mine in places for each in lanes_of(shares_of(mine, *sorted(places))))
    assert owned == Counter(INTEGRATIONS)


def test_every_engine_has_a_part_of_the_lanes() -> None:
    assert min(len(lanes_of(shares_of(mine, 0, 1, 2))) for mine in range(3)) > 15


def test_only_the_lanes_of_an_engine_that_goes_move() -> None:
    shares = shares_of(1, 0, 1, 2)
    before, gone = lanes_of(shares), lanes_of(shares_of(2, 0, 1, 2))
    shares.learn(1, [0, 1])
    assert before <= lanes_of(shares) <= before | gone


def test_an_engine_that_comes_to_others_has_nothing_at_first() -> None:
    clock = FakeClock()
    shares = LaneAssignment(clock=clock)
    shares.learn(1, [0, 1])
    assert lanes_of(shares) == set()
    clock.now += JOINING
    assert lanes_of(shares) == lanes_of(shares_of(1, 0, 1))


def test_an_engine_that_is_alone_has_everything_from_its_first_count_on() -> None:
    shares = LaneAssignment(clock=FakeClock())
    shares.learn(4, [4])
    assert lanes_of(shares) == set(INTEGRATIONS)


def test_a_lane_that_others_may_have_had_meanwhile_is_told_by_its_term() -> None:
    shares = shares_of(0, 0, 1)
    kept = next(iter(lanes_of(shares)))
    term = shares.term(kept)
    shares.learn(0, [0, 1])
    assert shares.term(kept) == term
    shares.learn(0, [0])
    assert shares.term(kept) not in {0, term}


class Present:
    """An engine's listener with its shares, counted twenty times a second."""

    def __init__(self, dsn: str) -> None:
        self.clock = FakeClock()
        self.shares = LaneAssignment(clock=self.clock)
        listener = Listener(dsn, {}, EngineMembership(self.shares.learn, every=0.05))
        self.task = asyncio.create_task(listener.run())

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def until_shared(present: list[Present]) -> None:
    """Wait until each lane is one engine's, and each engine has some."""

    async def shared() -> bool:
        parts = []
        for each in present:
            each.clock.now += JOINING
            parts.append(lanes_of(each.shares))
        return all(parts) and Counter(x for part in parts for x in part) == Counter(INTEGRATIONS)

    await eventually(shared, lambda done: done)


async def test_the_lanes_of_an_engine_that_dies_go_to_the_others(database: str) -> None:
    async with AsyncExitStack() as stack:
        present = [Present(database) for _ in range(3)]
        for each in present:
            stack.push_async_callback(each.end)
        await until_shared(present)
        await present[2].end()
        await until_shared(present[:2])
        await present[1].end()
        await until_shared(present[:1])
