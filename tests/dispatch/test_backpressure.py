from collections.abc import Mapping

import pytest

from hookline.dispatch.backpressure import Backpressure, Demand
from hookline.domain.access import Tenant
from hookline.errors import Overloaded

A, B = Tenant(None, "1"), Tenant(None, "2")


class Store:
    """A store that has as much pending as a test says."""

    def __init__(self, **pending: int) -> None:
        self.pending = {Tenant(None, pbx.removeprefix("pbx")): n for pbx, n in pending.items()}

    async def backlog(self) -> Mapping[Tenant, int]:
        return self.pending


async def bounds(store: Store, *, pending: int = 10, size: int = 100) -> Backpressure:
    made = Backpressure(store.backlog, most_pending=pending, most_bytes=size, share=0.4)
    await made.count()
    return made


def of(tenant: Tenant, *, deliveries: int = 1, size: int = 1) -> dict[Tenant, Demand]:
    return {tenant: Demand(deliveries, size)}


async def test_a_tenant_with_its_share_is_refused_and_another_is_not() -> None:
    kept = await bounds(Store(pbx1=4))
    assert not await kept.acquire(of(B))
    refused = await kept.acquire(of(A) | of(B))
    assert set(refused) == {A}
    assert "PBX 1" in str(refused[A])
    assert refused[A].retry_after >= 1
    assert kept.pending == 5, "what was refused counts for nothing, B's of the same request as well"


async def test_all_shares_in_use_refuse_everybody() -> None:
    kept = await bounds(Store(pbx1=9, pbx2=4, pbx3=2))
    with pytest.raises(Overloaded, match="Too many"):
        await kept.acquire(of(Tenant(None, "4")))


async def test_who_is_alone_may_have_all_of_it() -> None:
    kept = await bounds(Store(pbx1=9))
    assert not await kept.acquire(of(A))
    assert await kept.acquire(of(A))


async def test_what_is_being_stored_counts_with_all_that_it_comes_to() -> None:
    kept = await bounds(Store(pbx2=1))
    hundredfold = of(A, deliveries=100)
    assert not await kept.acquire(hundredfold)
    assert await kept.acquire(of(A))
    kept.release(hundredfold, {A: 3})
    assert not await kept.acquire(of(A)), "it was sent before, and only three were new"
    assert await kept.acquire(of(A))


async def test_what_is_being_stored_while_the_store_counts_is_not_forgotten() -> None:
    kept = await bounds(Store(pbx2=1))
    demand = of(A, deliveries=4)
    await kept.acquire(demand)
    await kept.count()
    assert await kept.acquire(of(A))
    kept.release(demand, {})
    assert not await kept.acquire(of(A))


async def test_nobody_is_refused_by_an_old_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    store = Store(pbx1=10, pbx2=1)
    kept = await bounds(store)
    store.pending = {B: 1}
    assert await kept.acquire(of(A))
    now += 1.0
    assert not await kept.acquire(of(A))


async def test_what_is_in_hand_is_bounded_by_its_bytes_for_each_tenant() -> None:
    kept = await bounds(Store())
    of_a, of_b = of(A, size=60), of(B, size=20)
    assert not await kept.acquire(of_a)
    assert not await kept.acquire(of_b)
    refused = await kept.acquire(of(A))
    assert refused[A].retry_after >= 1
    kept.release(of_a, {})
    assert not await kept.acquire(of(A))


async def test_events_that_are_larger_than_the_bound_go_alone() -> None:
    kept = await bounds(Store())
    large = of(A, size=5_000)
    assert not await kept.acquire(large)
    assert await kept.acquire(of(A))
    assert not await kept.acquire(of(B))
    kept.release(large, {})
    assert not await kept.acquire(of(A))


async def test_two_requests_that_come_to_no_delivery_end_in_any_order() -> None:
    kept = await bounds(Store())
    nothing = of(A, deliveries=0)
    await kept.acquire(nothing)
    await kept.acquire(nothing)
    kept.release(nothing, {})
    kept.release(nothing, {})
    assert kept.pending == 0
