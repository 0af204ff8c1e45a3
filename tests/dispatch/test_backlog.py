import pytest

from hookline.dispatch.backlog import Bounds
from hookline.errors import Overloaded


class Store:
    """A store that has as much pending as a test says."""

    def __init__(self, pending: int = 0) -> None:
        self.pending = pending

    async def backlog(self) -> int:
        return self.pending


def bounds(store: Store, *, pending: int = 10, size: int = 100) -> Bounds:
    return Bounds(store.backlog, most_pending=pending, most_bytes=size)


async def test_a_full_backlog_refuses_and_says_when_to_come_again() -> None:
    store = Store(10)
    kept = bounds(store)
    kept.enter(1)
    kept.leave(1, 0)
    await kept.look()
    with pytest.raises(Overloaded) as refused:
        kept.enter(1)
    assert refused.value.retry_after >= 1
    store.pending = 9
    await kept.look()
    kept.enter(1)


async def test_between_two_looks_its_own_deliveries_count() -> None:
    kept = bounds(Store())
    await kept.look()
    kept.enter(1)
    kept.leave(1, deliveries=10)
    with pytest.raises(Overloaded):
        kept.enter(1)


def test_what_is_in_hand_is_bounded_by_its_bytes() -> None:
    kept = bounds(Store())
    kept.enter(60)
    kept.enter(40)
    with pytest.raises(Overloaded) as refused:
        kept.enter(1)
    assert refused.value.retry_after >= 1
    kept.leave(60, 0)
    kept.enter(60)


def test_one_that_is_larger_than_the_bound_goes_alone() -> None:
    kept = bounds(Store())
    kept.enter(5_000)
    with pytest.raises(Overloaded):
        kept.enter(1)
    kept.leave(5_000, 0)
    kept.enter(1)
