"""Leases whose taker never heard that it has them: released, not waited out."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from hookline.db.connections import pool
from hookline.domain.deliveries import Delivered
from hookline.errors import Unavailable
from hookline.queue.postgres import PostgresQueue
from support.proxy import Proxy, proxied
from support.queue_contract import REVISION, a_delivery, an_event, claim, settled, store

NEVER = 100_000.0  # seconds: no lease here runs out by itself


@pytest.fixture
async def proxy(database: str, partitioned: asyncpg.Pool) -> AsyncIterator[Proxy]:
    assert partitioned is not None
    async with proxied(database) as opened:
        yield opened


@pytest.fixture
async def beyond(proxy: Proxy) -> AsyncIterator[PostgresQueue]:
    """A queue whose answers can be kept from it."""
    async with pool(proxy.dsn, size=2, statement_timeout=0.5) as connections:
        yield PostgresQueue(connections, lease_seconds=NEVER, duplicate_window=timedelta(hours=48))


async def test_what_was_born_leased_whose_answer_is_lost_is_due_once_the_database_is_back(
    beyond: PostgresQueue, proxy: Proxy
) -> None:
    await store(beyond, to="heard1")  # prepared statements are sent whole, in one go
    event = an_event("lost1")
    delivery = replace(a_delivery(event, "lost1"), leased=True)
    proxy.keep_replies_back()
    with pytest.raises(Unavailable):
        await beyond.append([event], [delivery], revision=REVISION)
    proxy.cut()
    proxy.forget_the_silent()

    assert "lost1" in {each.integration_id for each in await beyond.waiting()}
    [claimed] = await claim(beyond, "lost1")
    assert (claimed.id, claimed.claims) == (delivery.id, 1)
    assert await beyond.settle([settled(claimed, Delivered())]) == {delivery.id}


async def test_what_was_claimed_whose_answer_is_lost_is_due_once_the_database_is_back(
    beyond: PostgresQueue, proxy: Proxy
) -> None:
    await store(beyond, to="lost2")
    await store(beyond, to="lost3")
    [ours] = await claim(beyond, "lost3")
    proxy.keep_replies_back()
    with pytest.raises(Unavailable):
        await claim(beyond, "lost2")
    proxy.cut()
    proxy.forget_the_silent()

    assert "lost2" in {each.integration_id for each in await beyond.waiting()}
    [delivery] = await claim(beyond, "lost2")
    assert delivery.claims == 1
    assert await claim(beyond, "lost3") == []
    assert await beyond.settle([settled(ours, Delivered())]) == {ours.id}
