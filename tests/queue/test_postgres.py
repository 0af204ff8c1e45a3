import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from hookline.db.connections import pool
from hookline.domain.deliveries import Delivered, RetryAt
from hookline.domain.ids import new_uuid
from hookline.errors import Unavailable
from hookline.queue.port import Appended, Lane, NewEvent
from hookline.queue.postgres import PostgresQueue
from support.queue_contract import (
    REVISION,
    QueueContract,
    a_delivery,
    an_event,
    claim,
    ids,
    settled,
    store,
)

WINDOW = timedelta(hours=48)


class TestPostgresQueue(QueueContract):
    async def test_a_lane_is_taken_over_once_what_ran_out_there_is_free(
        self, partitioned: asyncpg.Pool
    ) -> None:
        dying = PostgresQueue(partitioned, lease_seconds=0.0, duplicate_window=WINDOW)
        living = PostgresQueue(partitioned, lease_seconds=60, duplicate_window=WINDOW)
        first, second = await store(dying, to="death2", count=2)
        assert ids(await claim(dying, "death2", room=1)) == [first]
        assert await living.take_over([Lane("death2", 0)]) == set(), "the first would be overtaken"
        await living.waiting()
        assert await living.take_over([Lane("death2", 0)]) == {"death2"}
        assert ids(await claim(living, "death2")) == [first, second]

    async def test_a_subject_whose_lease_ran_out_takes_nobodys_room(
        self, queue: PostgresQueue, partitioned: asyncpg.Pool
    ) -> None:
        subjects = ("first", "first", "second")
        events = [an_event(subject, number=at) for at, subject in enumerate(subjects)]
        stored = [a_delivery(event, "room01", ordered=True) for event in events]
        await queue.append(events, stored, revision=REVISION)
        [first] = await claim(queue, "room01", room=1, ordered=True)
        await partitioned.execute(
            "update pending set leased_until = now() - interval '1 second' where id = $1", first.id
        )
        assert await queue.retry(stored[1].id, ordered=True)  # has the subject looked at anew
        [second] = await claim(queue, "room01", room=1, ordered=True)
        assert second.id == stored[2].id
        await queue.waiting()
        assert ids(await claim(queue, "room01", ordered=True)) == [first.id]

    async def test_a_lease_that_ran_out_is_claimed_by_another_and_fences_the_first(
        self, partitioned: asyncpg.Pool
    ) -> None:
        dying = PostgresQueue(partitioned, lease_seconds=0.0, duplicate_window=WINDOW)
        living = PostgresQueue(partitioned, lease_seconds=60, duplicate_window=WINDOW)
        await store(dying, to="death1")
        [lost] = await claim(dying, "death1")
        assert "death1" in {each.integration_id for each in await living.waiting()}
        [taken_over] = await claim(living, "death1")
        assert (taken_over.id, taken_over.claims) == (lost.id, 2)
        assert await dying.settle([settled(lost, Delivered())]) == set()
        assert await living.settle([settled(taken_over, Delivered())]) == {lost.id}

    async def test_an_event_older_than_the_window_is_no_duplicate(
        self, partitioned: asyncpg.Pool
    ) -> None:
        forgetful = PostgresQueue(partitioned, lease_seconds=60, duplicate_window=timedelta(0))
        first = an_event("window")
        await forgetful.append([first], [], revision=REVISION)
        await asyncio.to_thread(_a_later_millisecond, first.id)
        again = NewEvent(new_uuid(), first.event, first.digest, None)
        result = await forgetful.append([again], [], revision=REVISION)
        assert isinstance(result, Appended)
        assert result.fresh == {again.id}

    async def test_attempts_keep_the_answer_whatever_bytes_it_was(
        self, queue: PostgresQueue, partitioned: asyncpg.Pool
    ) -> None:
        [delivery] = await store(queue, to="bytes2")
        for outcome in (RetryAt(0.0), Delivered()):
            [claimed] = await claim(queue, "bytes2")
            await queue.settle([settled(claimed, outcome)])
        rows = await partitioned.fetch(
            "select number, outcome, response from attempts where delivery_id = $1 order by 1",
            delivery,
        )
        assert [tuple(row) for row in rows] == [
            (1, "retry", b"answer \x00\xff"),
            (2, "delivered", b"answer \x00\xff"),
        ]

    async def test_a_closed_pool_is_an_unavailable_database(self, database: str) -> None:
        async with pool(database) as opened:
            queue = PostgresQueue(opened, lease_seconds=60, duplicate_window=WINDOW)
        with pytest.raises(Unavailable):
            await queue.waiting()

    async def test_a_batch_with_a_delivery_of_a_duplicate_stores_the_others(
        self, queue: PostgresQueue
    ) -> None:
        known, new = an_event("mixed"), an_event("mixed", number=1)
        await queue.append([known], [], revision=REVISION)
        copy = NewEvent(new_uuid(), known.event, known.digest, None)
        deliveries = [a_delivery(copy, "mixed1"), a_delivery(new, "mixed1")]
        await queue.append([copy, new], deliveries, revision=REVISION)
        assert ids(await claim(queue, "mixed1")) == [deliveries[1].id]


def _a_later_millisecond(than: UUID) -> None:
    while new_uuid().int >> 80 == than.int >> 80:
        pass
