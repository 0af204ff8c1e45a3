"""The limits by themselves, and the adaptive one against targets of many kinds in virtual time."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.dispatch.concurrency import AdaptiveLimit, ConcurrencyLimit, FixedLimit, limit_of


def all_fail(limit: ConcurrencyLimit) -> None:
    """Have as many attempts fail as are allowed at once."""
    for left in range(limit.allowed, 0, -1):
        limit.failed(left)


def recover(limit: ConcurrencyLimit, turns: int) -> list[int]:
    """Have each turn succeed as a whole; return what is allowed after each."""
    allowed = []
    for _ in range(turns):
        for _ in range(limit.allowed):
            limit.succeeded(10, limit.allowed)
        allowed.append(limit.allowed)
    return allowed


class TestFixedLimit:
    def test_it_is_all_of_it_until_something_fails(self) -> None:
        limit = FixedLimit(16)
        assert not limit.succeeded(10, 16)
        assert (limit.allowed, limit.reduced) == (16, False)

    def test_one_burst_of_failures_halves_it_once(self) -> None:
        limit = FixedLimit(16)
        allowed = []
        for _ in range(6):
            all_fail(limit)
            allowed.append(limit.allowed)
        assert allowed == [8, 4, 2, 1, 1, 1]

    def test_each_full_turn_of_successes_adds_one(self) -> None:
        limit = FixedLimit(16)
        limit.restart()
        assert recover(limit, 4) == [2, 3, 4, 5]

    def test_it_recovers_whole_and_then_follows_another_number(self) -> None:
        limit = FixedLimit(4)
        all_fail(limit)
        recover(limit, 10)
        assert not limit.reduced
        assert limit_of(64, limit).allowed == 64

    def test_another_number_does_not_forget_that_it_failed(self) -> None:
        limit = FixedLimit(4)
        all_fail(limit)
        assert (limit_of(64, limit).allowed, limit.reduced) == (2, True)

    def test_to_adapt_is_to_begin_anew(self) -> None:
        adaptive = limit_of(None, FixedLimit(100))
        assert adaptive.allowed == 8
        assert limit_of(None, adaptive) is adaptive
        assert limit_of(3, adaptive).allowed == 3


Latency = Callable[[int, float], float | None]  # (in flight, seconds) -> seconds; None: it fails


@dataclass
class Seen:
    """What became of a target that always has enough to be sent."""

    delivered: int
    most: int  # in flight at once
    limit: AdaptiveLimit


def send(latency: Latency, seconds: float, *, limit: AdaptiveLimit | None = None) -> Seen:
    """Send to a target for so many seconds of virtual time."""
    limit = limit or AdaptiveLimit()
    ending: list[tuple[float, int, int | None]] = []
    now, started, delivered, most = 0.0, 0, 0, 0
    while now < seconds:
        while len(ending) < limit.allowed:
            took = latency(len(ending) + 1, now)
            started += 1
            ms = None if took is None else int(took * 1_000)
            heapq.heappush(ending, (now + (took or 0.1), started, ms))
            most = max(most, len(ending))
        now, _, ms = ending[0]
        if ms is None:
            limit.failed(len(ending))
        else:
            delivered += 1
            limit.succeeded(ms, len(ending))
        heapq.heappop(ending)
    return Seen(delivered, most, limit)


class WithServers:
    """A target that works on so many requests at once, and queues the others."""

    def __init__(self, servers: int, seconds: float) -> None:
        self.free_at = [0.0] * servers
        self.seconds = seconds

    def __call__(self, _in_flight: int, now: float) -> float:
        ends = max(heapq.heappop(self.free_at), now) + self.seconds
        heapq.heappush(self.free_at, ends)
        return ends - now


class TestAdaptiveLimit:
    def test_a_fresh_target_gets_eight_at_once(self) -> None:
        assert send(lambda _n, _t: 0.15, 0.1).most == 8

    def test_a_distant_target_gets_as_many_as_are_worth_it(self) -> None:
        """350 a second to one that answers after 150 ms need 53 at once."""
        seen = send(lambda _n, _t: 0.15, 3.0)
        assert seen.limit.allowed > 350 * 0.15
        assert send(lambda _n, _t: 0.15, 10.0).limit.allowed == 256

    def test_noise_is_not_taken_for_load(self) -> None:
        noise = random.Random(7)  # noqa: S311 - not for secrets
        seen = send(lambda _n, _t: noise.uniform(0.05, 0.3), 20.0)
        assert seen.limit.allowed > 200

    @pytest.mark.parametrize(("servers", "seconds"), [(20, 0.05), (64, 0.1), (10, 0.02)])
    def test_a_target_with_a_queue_is_kept_busy_and_its_queue_short(
        self, servers: int, seconds: float
    ) -> None:
        warm = send(WithServers(servers, seconds), 5.0).limit
        seen = send(WithServers(servers, seconds), 40.0, limit=warm)
        assert seen.delivered > 0.95 * 40 * servers / seconds
        assert seen.most < 2.2 * servers

    def test_a_target_that_collapses_is_not_driven_over_its_knee(self) -> None:
        def collapsing(in_flight: int, _now: float) -> float:
            return 0.05 * (1 + (max(0, in_flight - 40) / 20) ** 2)

        warm = send(collapsing, 5.0).limit
        seen = send(collapsing, 30.0, limit=warm)
        at_its_knee = 30 * 40 / 0.05
        assert seen.delivered > 0.6 * at_its_knee
        assert seen.most < 2 * 40

    def test_a_slower_answer_that_has_nothing_to_do_with_load_is_learnt(self) -> None:
        seen = send(lambda _n, now: 0.05 if now < 10 else 0.2, 30.0)
        assert seen.limit.allowed > 200

    def test_a_failure_now_and_then_leaves_most_of_it(self) -> None:
        chance = random.Random(7)  # noqa: S311 - not for secrets
        seen = send(lambda _n, _t: None if chance.random() < 0.01 else 0.15, 30.0)
        of_sixteen = 30 * 16 / 0.15
        assert seen.delivered > 1.5 * of_sixteen

    def test_a_dead_target_gets_one_at_a_time_and_recovers(self) -> None:
        dead = send(lambda _n, now: 0.1 if now < 5 else None, 10.0).limit
        assert (dead.allowed, dead.reduced) == (1, True)
        assert recover(dead, 4) == [2, 3, 4, 5]
        assert not send(lambda _n, _t: 0.1, 10.0, limit=dead).limit.reduced

    def test_what_is_not_used_does_not_grow(self) -> None:
        limit = AdaptiveLimit()
        for _ in range(1_000):
            limit.succeeded(10, 3)
        assert limit.allowed == 8


@given(
    st.one_of(st.none(), st.integers(1, 1000)),
    st.lists(
        st.one_of(
            st.integers(0, 10_000).map(lambda ms: ("succeeded", ms)),
            st.sampled_from([("failed", 0), ("restart", 0)]),
        ),
        max_size=300,
    ),
)
def test_a_limit_is_one_at_the_least_and_within_its_bound(
    most: int | None, story: list[tuple[str, int]]
) -> None:
    limit = limit_of(most)
    for what, ms in story:
        before = limit.allowed
        match what:
            case "succeeded":
                assert limit.succeeded(ms, before) == (limit.allowed > before)
            case "failed":
                limit.failed(before)
                assert limit.allowed <= before
            case _:
                limit.restart()
        assert 1 <= limit.allowed <= (256 if most is None else most)
