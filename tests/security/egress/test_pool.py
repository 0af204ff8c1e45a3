"""The connection pool, step by step: bounds, fairness between origins, age, and what is closed."""

import asyncio
from collections.abc import Coroutine
from typing import Final, cast

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hookline.security.egress.connect import Connection
from hookline.security.egress.errors import ConnectionLost
from hookline.security.egress.transport import Pool, PoolLimits
from hookline.security.egress.urls import Origin

LIMITS: Final = PoolLimits(idle=4, idle_seconds=30, age_seconds=120)
MOST: Final = 6  # requests under way
ORIGINS: Final = tuple(Origin("https", f"{name}.example.com", 443) for name in "abc")


class FakeConnection:
    """What the pool sees of a connection."""

    def __init__(self, origin: Origin, now: float) -> None:
        self.origin = origin
        self.opened_at = self.idle_since = now
        self.share_of_age = 1.0
        self.usable = False
        self.open = True

    def release(self) -> bool:
        """Be idle, if the connection still stands."""
        self.usable = self.open
        self.idle_since = asyncio.get_running_loop().time()
        return self.open

    def abort(self) -> None:
        """Close it."""
        self.open = self.usable = False


class PoolMachine(RuleBasedStateMachine):
    """Requests come and go by a clock of its own; a plain model says what may be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.loop = asyncio.SelectorEventLoop()
        self.loop.time = lambda: self.now  # type: ignore[method-assign]
        self.pool = Pool(LIMITS)
        self.used: list[FakeConnection] = []
        self.idle: list[FakeConnection] = []  # idle longest first

    def teardown(self) -> None:
        """Close: nothing idle stays open, and nothing is kept afterwards."""
        self.pool.close()
        assert not any(each.open for each in self.idle)
        for each in self.used:
            self.loop.run_until_complete(self.leave(each))
        assert not any(each.open for each in self.used)
        with pytest.raises(ConnectionLost):
            self.pool.enter(ORIGINS[0])
        assert self.pool._origins == {}
        self.loop.close()

    def run(self, step: Coroutine[None, None, Connection | None]) -> Connection | None:
        return self.loop.run_until_complete(step)

    async def leave(self, connection: FakeConnection) -> None:
        self.pool.leave(connection.origin, cast("Connection", connection))

    async def enter(self, origin: Origin) -> Connection | None:
        self.pool.enter(origin)
        return self.pool.reuse(origin)

    def of(self, origin: Origin, where: list[FakeConnection]) -> list[FakeConnection]:
        return [each for each in where if each.origin == origin]

    def lasts(self, each: FakeConnection) -> bool:
        return (
            each.usable
            and self.now - each.idle_since <= LIMITS.idle_seconds
            and self.now - each.opened_at <= LIMITS.age_seconds
        )

    @rule(origin=st.sampled_from(ORIGINS), count=st.integers(1, MOST))
    def requests_take_the_connections_used_last_or_new_ones(
        self, origin: Origin, count: int
    ) -> None:
        for _ in range(min(count, MOST - len(self.used))):
            wanted = [each for each in self.of(origin, self.idle) if self.lasts(each)]
            found = cast("FakeConnection | None", self.run(self.enter(origin)))
            assert found is (wanted[-1] if wanted else None)
            if found is None:
                found = FakeConnection(origin, self.now)
            found.usable = False
            self.idle = [each for each in self.idle if each is not found and each.open]
            self.used.append(found)

    @rule(count=st.integers(1, MOST), broken=st.integers(0, MOST * 4))
    def requests_end(self, count: int, broken: int) -> None:
        for index in range(min(count, len(self.used))):
            connection = self.used.pop(0)
            if index == broken:
                connection.abort()
            self.a_request_ends(connection)

    def a_request_ends(self, connection: FakeConnection) -> None:
        kept = [*self.idle, connection] if connection.open else list(self.idle)
        expected: list[FakeConnection] = []
        if len(kept) > LIMITS.idle:
            share = LIMITS.idle // len({each.origin for each in kept})
            above = (each for each in kept if len(self.of(each.origin, kept)) > share)
            expected.append(next(above))
        self.run(self.leave(connection))
        self.idle = [each for each in kept if each not in expected]
        assert all(each.open for each in self.idle)
        assert not any(each.open for each in expected)

    @precondition(lambda self: self.idle)
    @rule(data=st.data())
    def a_target_closes_a_connection(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.idle)).usable = False

    @rule(seconds=st.sampled_from((0.5, 10.0, 31.0)))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds
        self.run(asyncio.sleep(0))  # the pool's timer is due, if it has one
        closed = [each for each in self.idle if not each.open]
        assert not any(self.lasts(each) for each in closed)
        self.idle = [each for each in self.idle if each.open]

    @rule(origin=st.sampled_from(ORIGINS))
    def an_origin_is_forgotten(self, origin: Origin) -> None:
        own = self.of(origin, self.idle)
        self.pool.forget(origin)
        if self.of(origin, self.used):
            assert all(each.open for each in own)  # others send to it too
        else:
            assert not any(each.open for each in own)
            self.idle = [each for each in self.idle if each.open]

    @invariant()
    def nothing_beyond_the_bounds_is_open(self) -> None:
        held = self.pool._idle
        assert [cast("object", each) for each in held] == self.idle
        assert len(self.idle) <= LIMITS.idle
        assert sum(len(of_origin.idle) for of_origin in self.pool._origins.values()) == len(held)
        assert set(self.pool._origins) == {each.origin for each in (*self.used, *self.idle)}


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


async def released(pool: Pool, origin: Origin, count: int, now: float) -> list[FakeConnection]:
    """Have so many requests to an origin under way, and end them."""
    for _ in range(count):
        pool.enter(origin)
    made = [FakeConnection(origin, now) for _ in range(count)]
    for each in made:
        pool.leave(origin, cast("Connection", each))
    return made


async def test_an_origin_keeps_as_many_as_it_had_in_use() -> None:
    limits = PoolLimits(idle=2_048)
    pool, now = Pool(limits), asyncio.get_running_loop().time()
    made = await released(pool, ORIGINS[0], 1_600, now)
    assert all(each.open for each in made)
    pool.close()


async def test_a_flood_to_one_origin_closes_none_that_others_keep_within_their_share() -> None:
    pool, now = Pool(PoolLimits(idle=16)), 0.0
    now = asyncio.get_running_loop().time()
    others = await released(pool, ORIGINS[0], 4, now) + await released(pool, ORIGINS[1], 4, now)
    flood = await released(pool, ORIGINS[2], 64, now)
    assert all(each.open for each in others)
    assert [each.open for each in flood] == [False] * 56 + [True] * 8
    pool.close()


async def test_what_was_opened_together_is_not_closed_together() -> None:
    shares = {Connection(keep=1, read=1).share_of_age for _ in range(20)}
    assert len(shares) > 1
    assert all(0.75 <= share <= 1.0 for share in shares)
