"""The promises of `hookline.queue.port.Queue`, as tests that any engine behind it must pass."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from msgspec.structs import replace

from hookline.domain.deliveries import (
    Delivered,
    ErrorKind,
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    Sent,
    SkipReason,
    Verdict,
)
from hookline.domain.events import Limits, parse_event
from hookline.domain.ids import new_uuid
from hookline.queue.port import (
    Appended,
    Claimed,
    Lane,
    NewDelivery,
    NewEvent,
    Queue,
    Settlement,
    StaleSnapshot,
)

REVISION = 1  # what a freshly migrated store is at


def an_event(subject: str = "call-1", *, number: int = 0) -> NewEvent:
    """Return an event to store; `number` tells events of one subject apart."""
    raw = (
        f'{{"id":"{subject}","pbx":"000000000001","company":"it_w000001","time":{number},'
        f'"type":"call:start","data":{{"number":{number}}}}}'
    )
    event = parse_event(raw.encode(), Limits())
    return NewEvent(new_uuid(), event, event.digest(event.pbx), skipped=None)


def a_delivery(
    event: NewEvent, to: str, *, leased: bool = False, ordered: bool = False
) -> NewDelivery:
    """Return a delivery of an event to an integration."""
    return NewDelivery(
        id=new_uuid(),
        event_id=event.id,
        integration_id=to,
        event_type=event.event.type,
        ordering=event.event.subject if ordered else None,
        leased=leased,
    )


def sent(verdict: Verdict = Verdict.DELIVERED) -> Sent:
    """Return what a sink says of one attempt."""
    ok = verdict is Verdict.DELIVERED
    return Sent(
        verdict,
        datetime.now(UTC),
        12,
        error=None if ok else ErrorKind.STATUS,
        status_code=200 if ok else 503,
        response=b"answer \x00\xff",
    )


def settled(claimed: Claimed, outcome: Outcome) -> Settlement:
    """Return the settlement of a claimed delivery after one more attempt."""
    return Settlement(claimed.id, claimed.lease, outcome, claimed.attempts + 1, sent())


async def store(queue: Queue, *, to: str, count: int = 1, ordered: bool = False) -> list[UUID]:
    """Store events of one subject with a delivery each, and return the deliveries' ids."""
    events = [an_event(f"call-{to}", number=number) for number in range(count)]
    deliveries = [a_delivery(event, to, ordered=ordered) for event in events]
    assert isinstance(await queue.append(events, deliveries, revision=REVISION), Appended)
    return [delivery.id for delivery in deliveries]


async def claim(queue: Queue, to: str, *, room: int = 10, ordered: bool = False) -> list[Claimed]:
    """Claim for one integration."""
    return await queue.claim([Lane(to, room, ordered)], most_bytes=1_000_000)


def ids(claimed: Sequence[Claimed]) -> list[UUID]:
    """Return the deliveries' ids in the order in which they were claimed."""
    return [each.id for each in claimed]


class QueueContract:
    """Subclass it where a fixture `queue` gives an engine over an empty store."""

    async def test_what_was_appended_is_claimed_with_its_bytes(self, queue: Queue) -> None:
        event = an_event()
        delivery = a_delivery(event, "bytes1")
        await queue.append([event], [delivery], revision=REVISION)
        [claimed] = await claim(queue, "bytes1")
        assert claimed.id == delivery.id
        assert claimed.event == replace(event.event, hashed=None)  # digests are stored apart
        assert (claimed.attempts, claimed.claims, claimed.once) == (0, 1, False)

    async def test_an_append_from_a_stale_snapshot_stores_nothing(self, queue: Queue) -> None:
        event = an_event("stale")
        stale = await queue.append([event], [a_delivery(event, "stale1")], revision=REVISION + 7)
        assert stale == StaleSnapshot(REVISION)
        assert await claim(queue, "stale1") == []
        fresh = await queue.append([event], [], revision=REVISION)
        assert isinstance(fresh, Appended)
        assert fresh.fresh == {event.id}

    async def test_the_same_event_again_is_told_its_first_id(self, queue: Queue) -> None:
        first = an_event("again")
        again = NewEvent(new_uuid(), first.event, first.digest, None)
        other = an_event("again", number=1)
        await queue.append([first], [a_delivery(first, "again1")], revision=REVISION)
        result = await queue.append(
            [again, other],
            [a_delivery(again, "again1"), a_delivery(other, "again1")],
            revision=REVISION,
        )
        assert isinstance(result, Appended)
        assert result.fresh == {other.id}
        assert result.originals == {first.digest: first.id}
        claimed = await claim(queue, "again1")
        assert [each.event_id for each in claimed] == [first.id, other.id]

    async def test_fifty_copies_at_once_are_stored_once(self, queue: Queue) -> None:
        event = an_event("fifty")
        copies = [NewEvent(new_uuid(), event.event, event.digest, None) for _ in range(50)]
        results = await asyncio.gather(
            *(
                queue.append([copy], [a_delivery(copy, "fifty1")], revision=REVISION)
                for copy in copies
            )
        )
        appended = [result for result in results if isinstance(result, Appended)]
        [first] = [event_id for result in appended for event_id in result.fresh]
        assert all(r.originals == {event.digest: first} for r in appended if not r.fresh)
        assert [each.event_id for each in await claim(queue, "fifty1")] == [first]

    async def test_what_is_born_leased_is_not_claimed_by_others(self, queue: Queue) -> None:
        event = an_event("born")
        await queue.append([event], [a_delivery(event, "born01", leased=True)], revision=REVISION)
        assert await claim(queue, "born01") == []

    async def test_what_bears_a_lease_is_released_but_what_is_still_held(
        self, queue: Queue
    ) -> None:
        event = an_event("stranded")
        deliveries = [
            replace(a_delivery(event, to, leased=True), holder=holder)
            for to, holder in (("stray1", 7), ("stray2", 7), ("stray3", 8))
        ]
        await queue.append([event], deliveries, revision=REVISION)
        held = deliveries[1].id
        assert await queue.release_lease(7, but=[held]) == {"stray1"}
        assert await queue.release_lease(7, but=[held]) == set()
        [job] = await claim(queue, "stray1")
        assert (job.id, job.claims) == (deliveries[0].id, 1)  # the first one did not count
        assert await claim(queue, "stray2") == await claim(queue, "stray3") == []

    async def test_a_claim_takes_no_more_than_the_lane_has_room_for(self, queue: Queue) -> None:
        stored = await store(queue, to="room01", count=5)
        first = ids(await claim(queue, "room01", room=2))
        second = ids(await claim(queue, "room01", room=9))
        assert (len(first), len(second)) == (2, 3)
        assert sorted(first + second) == stored

    async def test_what_is_due_longest_is_claimed_first(self, queue: Queue) -> None:
        events = [an_event("oldest", number=number) for number in range(3)]
        deliveries = [a_delivery(event, "first1") for event in events]
        for event, delivery in zip(events, deliveries, strict=True):
            await queue.append([event], [delivery], revision=REVISION)
        for delivery in deliveries:
            assert ids(await claim(queue, "first1", room=1)) == [delivery.id]

    async def test_a_claimed_delivery_is_not_claimed_again(self, queue: Queue) -> None:
        await store(queue, to="twice1", count=40)
        claims = await asyncio.gather(*(claim(queue, "twice1", room=10) for _ in range(8)))
        taken = [delivery for claimed in claims for delivery in ids(claimed)]
        assert len(taken) == len(set(taken)) == 40

    async def test_a_settled_delivery_is_done(self, queue: Queue) -> None:
        await store(queue, to="done01")
        [claimed] = await claim(queue, "done01")
        assert await queue.settle([settled(claimed, Delivered())]) == {claimed.id}
        assert "done01" not in {each.integration_id for each in await queue.waiting()}

    async def test_settling_twice_changes_nothing_the_second_time(self, queue: Queue) -> None:
        await store(queue, to="fence1")
        [claimed] = await claim(queue, "fence1")
        assert await queue.settle([settled(claimed, RetryAt(0.0))]) == {claimed.id}
        assert await queue.settle([settled(claimed, Delivered())]) == set()
        [again] = await claim(queue, "fence1")
        assert (again.id, again.attempts) == (claimed.id, 1)

    async def test_a_retry_is_due_after_its_delay_and_not_before(self, queue: Queue) -> None:
        await store(queue, to="later1")
        [claimed] = await claim(queue, "later1")
        await queue.settle([settled(claimed, RetryAt(500.0))])
        assert await claim(queue, "later1") == []
        [due_in] = [w.due_in for w in await queue.waiting() if w.integration_id == "later1"]
        assert 400 < due_in <= 500

    async def test_a_released_delivery_is_due_at_once_and_costs_no_attempt(
        self, queue: Queue
    ) -> None:
        await store(queue, to="given1")
        claimed = await claim(queue, "given1")
        await queue.release(claimed)
        [again] = await claim(queue, "given1")
        assert (again.attempts, again.claims) == (0, 1)

    async def test_a_renewal_tells_whose_lease_it_was(self, queue: Queue) -> None:
        await store(queue, to="renew1")
        [claimed] = await claim(queue, "renew1")
        assert await queue.renew([(claimed.id, claimed.lease)]) == {claimed.id}
        assert await queue.renew([(claimed.id, claimed.lease + 1)]) == set()

    async def test_an_ordered_lane_gives_one_of_each_subject_oldest_first(
        self, queue: Queue
    ) -> None:
        calls = [an_event(f"fifo-{call}", number=n) for n in range(3) for call in ("a", "b")]
        deliveries = [a_delivery(event, "fifo01", ordered=True) for event in calls]
        await queue.append(calls, deliveries, revision=REVISION)
        first = await claim(queue, "fifo01", ordered=True)
        assert ids(first) == [deliveries[0].id, deliveries[1].id]
        assert await claim(queue, "fifo01", ordered=True) == []
        a, b = first
        await queue.settle([settled(a, Delivered()), settled(b, RetryAt(500.0))])
        second = await claim(queue, "fifo01", ordered=True)
        assert ids(second) == [deliveries[2].id], "b's second must not overtake its first"

    async def test_what_is_retried_by_hand_waits_for_a_later_one_that_is_under_way(
        self, queue: Queue
    ) -> None:
        first, second, third = await store(queue, to="fifo03", count=3, ordered=True)
        [claimed] = await claim(queue, "fifo03", ordered=True)
        await queue.settle([settled(claimed, Failed(FailReason.REJECTED))])
        [under_way] = await claim(queue, "fifo03", ordered=True)
        assert under_way.id == second
        assert await queue.retry(first, ordered=True)
        assert await claim(queue, "fifo03", ordered=True) == [], "one of a subject at a time"
        await queue.settle([settled(under_way, Delivered())])
        for expected in (first, third):
            [next_one] = await claim(queue, "fifo03", ordered=True)
            assert next_one.id == expected
            await queue.settle([settled(next_one, Delivered())])

    async def test_a_finished_delivery_can_be_retried_once_more(self, queue: Queue) -> None:
        [delivery] = await store(queue, to="retry1")
        [claimed] = await claim(queue, "retry1")
        await queue.settle([settled(claimed, Failed(FailReason.REJECTED))])
        assert await queue.retry(delivery, ordered=False)
        [again] = await claim(queue, "retry1")
        assert (again.id, again.attempts, again.once) == (delivery, 1, True)

    async def test_a_waiting_delivery_can_be_made_due(self, queue: Queue) -> None:
        [delivery] = await store(queue, to="haste1")
        [claimed] = await claim(queue, "haste1")
        await queue.settle([settled(claimed, RetryAt(500.0))])
        assert await queue.retry(delivery, ordered=False)
        assert ids(await claim(queue, "haste1")) == [delivery]

    async def test_a_retry_of_what_does_not_exist_says_so(self, queue: Queue) -> None:
        assert not await queue.retry(new_uuid(), ordered=False)

    async def test_skipping_ends_what_nobody_holds(self, queue: Queue) -> None:
        stored = await store(queue, to="skip01", count=3)
        [held] = await claim(queue, "skip01", room=1)
        assert held.id in stored
        assert await queue.skip("skip01", SkipReason.DELETED, limit=10) == 2
        assert await queue.skip("skip01", SkipReason.DELETED, limit=10) == 0
        assert await queue.settle([settled(held, Delivered())]) == {held.id}

    async def test_a_claim_brings_no_more_bytes_than_asked_for_but_always_one(
        self, queue: Queue
    ) -> None:
        stored = await store(queue, to="bytes3", count=5)
        size = len(an_event("call-bytes3").event.payload)
        [alone] = await queue.claim([Lane("bytes3", 5)], most_bytes=1)
        some = await queue.claim([Lane("bytes3", 5)], most_bytes=size + 1)
        rest = await queue.claim([Lane("bytes3", 5)], most_bytes=100 * size)
        assert (len(some), len(rest)) == (2, 2)
        assert sorted([alone.id, *ids(some), *ids(rest)]) == stored
        await store(queue, to="bytes4", count=2, ordered=True)
        assert len(await queue.claim([Lane("bytes4", 5, ordered=True)], most_bytes=1)) == 1

    async def test_a_claim_tells_which_integrations_must_be_known(self, queue: Queue) -> None:
        await store(queue, to="known1")
        [claimed] = await claim(queue, "known1")
        assert claimed.revision == REVISION

    async def test_a_batch_of_outcomes_closes_buries_and_reschedules(self, queue: Queue) -> None:
        await store(queue, to="batch1", count=4)
        a, b, c, d = await claim(queue, "batch1")
        foreign = Settlement(d.id, d.lease + 1, Delivered(), 1, sent())
        outcomes = [
            settled(a, Delivered()),
            settled(b, Failed(FailReason.GONE)),
            settled(c, RetryAt(0.0)),
            foreign,
        ]
        assert await queue.settle(outcomes) == {a.id, b.id, c.id}
        [again] = await claim(queue, "batch1")
        assert (again.id, again.attempts, again.claims, again.event) == (c.id, 1, 2, c.event)
        assert await queue.settle([settled(d, Delivered())]) == {d.id}

    async def test_anothers_lease_in_the_same_batch_opens_nothing(self, queue: Queue) -> None:
        await store(queue, to="mixed2", count=2)
        [one] = await claim(queue, "mixed2", room=1)
        [other] = await claim(queue, "mixed2", room=1)
        crossed = [
            Settlement(one.id, other.lease, Delivered(), 1, sent()),
            Settlement(other.id, other.lease, Delivered(), 1, sent()),
        ]
        assert await queue.settle(crossed) == {other.id}
        assert await claim(queue, "mixed2") == []
        assert await queue.settle([settled(one, Delivered())]) == {one.id}

    async def test_settling_and_renewing_the_same_deliveries_at_once_loses_nothing(
        self, queue: Queue
    ) -> None:
        await store(queue, to="knots1", count=100)
        held = await claim(queue, "knots1", room=100)
        backwards = [(each.id, each.lease) for each in reversed(held)]
        halves = (held[:50], held[50:])
        results = await asyncio.gather(
            *(queue.settle([settled(each, Delivered()) for each in half]) for half in halves),
            *(queue.renew(backwards) for _ in range(10)),
        )
        assert results[0] | results[1] == set(ids(held))

    async def test_a_retry_of_an_ordered_delivery_goes_before_its_successors(
        self, queue: Queue
    ) -> None:
        first, second = await store(queue, to="fifo02", count=2, ordered=True)
        [claimed] = await claim(queue, "fifo02", ordered=True)
        await queue.settle([settled(claimed, Failed(FailReason.REJECTED))])
        assert await queue.retry(first, ordered=True)
        assert ids(await claim(queue, "fifo02", ordered=True)) == [first]
        assert await queue.skip("fifo02", SkipReason.DISABLED, limit=10) == 1
        assert not await queue.retry(new_uuid(), ordered=True)
        assert await queue.retry(second, ordered=True)
